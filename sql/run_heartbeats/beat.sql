-- Show that a run's process is at work.
insert into run_heartbeats (run_id, host) values (%(run)s, %(host)s)
on conflict (run_id) do update
set host = excluded.host, beaten_at = clock_timestamp(), silent_since = null;
