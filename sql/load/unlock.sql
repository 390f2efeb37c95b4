-- Give the place to the next load.
select pg_advisory_unlock(%(lock)s);
