-- Wait for the only place at the events, where nobody else stores any.
set local lock_timeout = '10min';
select pg_advisory_xact_lock(7077062);
