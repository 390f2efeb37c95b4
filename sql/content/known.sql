-- Those of these events that were received before content expired.
select event_id::text
from whatsapp_events
where event_id = any(%(event_ids)s::uuid[]) and received_at < %(before)s;
