-- The UTC dates whose events changed: a snapshot that holds an older revision is stale. Where events of a past date were
-- only delivered again it stays current until the next UTC date (sql/snapshots/settle.sql).
insert into event_days as known (received_on, redelivered_on)
select received_on, case when bool_and(only_redelivered) then (now() at time zone 'UTC')::date end
from (
    select received_on, only_redelivered and received_on < (now() at time zone 'UTC')::date as only_redelivered
    from staged_days
    union all
    select unnest(%(dates)s::date[]), false
) as changed
group by received_on
order by received_on
on conflict (received_on) do update
set revision = case when excluded.redelivered_on is null then excluded.revision else known.revision end,
    redelivered_on = excluded.redelivered_on;
