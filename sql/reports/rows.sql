-- How many rows the tables have. Of events those of past dates whose Parquet file is current are counted there, so that
-- it costs the same after a year.
with counted as (
    select coalesce(min(received_on), (now() at time zone 'UTC')::date) as since
    from event_days
    left join snapshot_files as file on file."table" = 'whatsapp_events' and file.date = received_on
    where received_on < (now() at time zone 'UTC')::date and file.revision is distinct from event_days.revision::text
)
select (select coalesce(sum(rows), 0) from snapshot_files where "table" = 'whatsapp_events' and date < since)::bigint
       + (select count(*) from whatsapp_events where received_at >= since::timestamp at time zone 'UTC') as whatsapp_events,
       (select count(*) from whatsapp_groups) as whatsapp_groups,
       (select count(*) from whatsapp_participants) as whatsapp_participants
from counted;
