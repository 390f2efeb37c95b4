-- Wait for the only place: one load at a time.
select pg_advisory_lock(%(lock)s);
