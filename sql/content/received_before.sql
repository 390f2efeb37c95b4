-- The events that were received before a moment, as they are in the table.
select event_id::text, type, payload from whatsapp_events where received_at < %(before)s;
