-- The names of people that an event showed which has expired.
update whatsapp_participant_jids
set push_name = null, named_at = null, named_by = null
where named_by is not null and not exists (select from whatsapp_events where event_id = named_by);
