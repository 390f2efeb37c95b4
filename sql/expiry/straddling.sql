-- The events that were received before a moment and delivered again since: of each its deliveries, and the last of them.
select event_id::text, deliveries, last_received_at
from whatsapp_events
where received_at < %(before)s and last_received_at >= %(before)s;
