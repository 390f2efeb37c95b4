-- These events, which are stored anew from their bodies.
with gone as (delete from whatsapp_event_revisions where event_id = any(%(event_ids)s::uuid[]))
delete from whatsapp_events where event_id = any(%(event_ids)s::uuid[]);
