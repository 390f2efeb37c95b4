-- Those of the event ids that the table has.
select event_id::text from whatsapp_events where event_id = any(%(event_ids)s::uuid[]);
