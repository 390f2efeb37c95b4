-- The groups that an event describes which was received before a moment.
select whatsapp_groups.id::text, whatsapp_groups.payload
from whatsapp_groups
join whatsapp_events on event_id = described_by
where whatsapp_events.received_at < %(before)s;
