-- The names of groups that an event showed which has expired.
update whatsapp_groups
set display_name = null, named_timed = null, named_at = null, named_by = null
from expired_events
where event_id = named_by;
