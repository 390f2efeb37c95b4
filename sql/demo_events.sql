-- How many of the sample's events the table has by type, and the UTC dates whose snapshots have them.
select type, count(*) as events, array_agg(distinct (received_at at time zone 'UTC')::date) as days
from whatsapp_events
where event_id = any(%(event_ids)s::uuid[])
group by type
order by events desc, type
