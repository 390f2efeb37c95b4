-- The UTC dates whose events changed: a snapshot that holds an older revision is stale.
insert into event_days (received_on)
select received_on from staged_days
union
select unnest(%(dates)s::date[])
order by received_on
on conflict (received_on) do update
set revision = excluded.revision;
