-- As it was before.
alter system reset wal_recycle;
