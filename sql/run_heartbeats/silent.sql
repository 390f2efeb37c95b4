-- Look at the started runs, and name those that are taken for dead, with their hosts. All times are this database's, and
-- a run has a minute of looks to beat in: while the database doesn't answer, or everything sleeps, nobody looks.
with forgotten as (
    delete from run_heartbeats where run_id <> all(%(runs)s) and beaten_at < clock_timestamp() - interval '1 hour'
), suspected as (
    insert into run_heartbeats (run_id) select unnest(%(runs)s)
    on conflict (run_id) do update
    set silent_since = coalesce(run_heartbeats.silent_since, clock_timestamp())
    where run_heartbeats.beaten_at < clock_timestamp() - interval '20 seconds'
    returning run_id, host, silent_since
)
select run_id, host from suspected where silent_since < clock_timestamp() - interval '1 minute';
