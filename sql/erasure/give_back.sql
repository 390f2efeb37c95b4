-- What an event had that its bodies don't say.
update whatsapp_events
set id = kept.id, tenant_id = kept.tenant_id, received_at = kept.received_at,
    last_received_at = kept.last_received_at, deliveries = kept.deliveries
from kept_events as kept
where kept.event_id = whatsapp_events.event_id;
