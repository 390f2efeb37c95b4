-- Where each body of these events was landed first, and the date on which each event was received.
select event_id::text, landing_key, landing_line, (received_at at time zone 'UTC')::date as received_on
from whatsapp_events
where event_id = any(%(event_ids)s::uuid[])
union all
select event_id::text, landing_key, landing_line, null
from whatsapp_event_revisions
where event_id = any(%(event_ids)s::uuid[])
order by landing_key, landing_line;
