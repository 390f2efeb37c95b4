-- Files of the write-ahead log that aren't needed any more are removed from now on, and not used again under other names.
alter system set wal_recycle = off;
