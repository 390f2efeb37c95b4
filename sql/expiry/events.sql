-- The events that were received before a moment, with their other bodies; note which they were.
with revisions as (
    delete from whatsapp_event_revisions as revision
    using whatsapp_events as event
    where event.event_id = revision.event_id and event.received_at < %(before)s
), gone as (
    delete from whatsapp_events where received_at < %(before)s
    returning event_id
)
insert into expired_events select event_id from gone;
