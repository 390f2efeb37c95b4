-- Events whose author is known again, by what was received since.
update whatsapp_events
set participant_id = jids.participant_id
from whatsapp_participant_jids as jids
where whatsapp_events.participant_id is null and participant_jid = jids.jid;
