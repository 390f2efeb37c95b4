-- Wait for the only place at groups, people and addresses: transactions change them one at a time. Any number that
-- nothing else in the database locks; a load that hangs, rather than works, doesn't hold up the others for ever.
set local lock_timeout = '10min';
select pg_advisory_xact_lock(7077061);
