-- When an event was received first.
select received_at from whatsapp_events where event_id = %(event_id)s::uuid;
