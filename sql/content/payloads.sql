-- The payloads of these events.
select event_id::text, type, payload from whatsapp_events where event_id = any(%(event_ids)s::uuid[]);
