-- Wait for a place at the events: any number of transactions store events side by side.
set local lock_timeout = '10min';
select pg_advisory_xact_lock_shared(7077062);
