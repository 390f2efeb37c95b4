-- The names of people that an event showed which has expired.
update whatsapp_participant_jids
set push_name = null, named_at = null, named_by = null
from expired_events
where event_id = named_by;
