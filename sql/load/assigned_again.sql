-- Sets again what sql/load/assigned.sql has kept, where the row is there again.
update whatsapp_groups
set tenant_id = assigned.tenant_id, internal_name = assigned.internal_name
from assigned_groups as assigned
where assigned.external_jid = whatsapp_groups.external_jid;

update whatsapp_participants
set identity_id = assigned.identity_id
from assigned_people as assigned join whatsapp_participant_jids using (jid)
where participant_id = id;

update whatsapp_events
set tenant_id = assigned.tenant_id
from assigned_events as assigned
where assigned.event_id = whatsapp_events.event_id;
