-- How many rows each table has that has snapshots. Of events those of past dates whose Parquet file is current are counted
-- there, so that it costs the same after a year: what somebody deletes by hand from those is still counted.
with counted as (
    select coalesce(min(received_on), (now() at time zone 'UTC')::date) as since
    from event_days
    left join snapshot_files as file on file."table" = 'whatsapp_events' and file.date = received_on
    where received_on < (now() at time zone 'UTC')::date and file.revision is distinct from event_days.revision::text
)
select 'whatsapp_events',
       (select coalesce(sum(rows), 0) from snapshot_files where "table" = 'whatsapp_events' and date < since)::bigint
       + (select count(*) from whatsapp_events where received_at >= since::timestamp at time zone 'UTC')
from counted
union all
select 'whatsapp_groups', count(*) from whatsapp_groups
union all
select 'whatsapp_participants', count(*) from whatsapp_participants
union all
select 'whatsapp_participant_jids', count(*) from whatsapp_participant_jids;
