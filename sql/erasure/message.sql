-- The id of the message that an event brought, null where it is no message's event.
select case when type = 'messages.upsert' then payload #>> '{key,id}' end
from whatsapp_events
where event_id = %(event_id)s;
