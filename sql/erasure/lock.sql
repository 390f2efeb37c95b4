-- One erasure at a time works in a lake; the next one waits. Held until the session ends.
select pg_advisory_lock(7077064);
