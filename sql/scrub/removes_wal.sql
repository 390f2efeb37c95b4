-- Whether the setting has reached this session; a process reads it a moment after it is told to.
select not current_setting('wal_recycle')::boolean from pg_sleep(0.01);
