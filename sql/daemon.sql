-- Whether Dagster's daemon has shown a sign of life lately: it does so every 30 seconds.
select from daemon_heartbeats where timestamp > now() at time zone 'UTC' - interval '5 minutes' limit 1;
