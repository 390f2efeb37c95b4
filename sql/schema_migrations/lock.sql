-- Wait until nobody else migrates this database; the lock ends with the transaction. Any number that nothing else in
-- the database locks. A session whose client was killed ends within a second, even one that waits for a table.
set local lock_timeout = '10min';
set local client_connection_check_interval = '1s';
select pg_advisory_xact_lock(7077060);
