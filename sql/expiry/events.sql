-- The events that were received before a moment, with their other bodies.
with gone as (
    delete from whatsapp_event_revisions as revision
    using whatsapp_events as event
    where event.event_id = revision.event_id and event.received_at < %(before)s
)
delete from whatsapp_events where received_at < %(before)s;
