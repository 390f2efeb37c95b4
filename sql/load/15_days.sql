-- The UTC dates whose events changed: a snapshot that holds an older revision is stale.
insert into event_days as known (received_on, revision)
select distinct received_on, 1
from staged_days
order by received_on
on conflict (received_on) do update
set revision = known.revision + 1;
