-- Events that go on by what was delivered since keep their id, and what others have set.
update whatsapp_events
set id = kept.id, tenant_id = kept.tenant_id
from kept_events as kept
where kept.event_id = whatsapp_events.event_id;
