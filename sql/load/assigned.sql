-- What others have set in rows that a rebuild makes anew, by what names the same row again. Run before they are removed.
create temp table assigned_groups on commit drop as
select external_jid, tenant_id, internal_name
from whatsapp_groups
where tenant_id is not null or internal_name is not null;

create temp table assigned_people on commit drop as
select jid, identity_id
from whatsapp_participants join whatsapp_participant_jids on participant_id = id
where identity_id is not null;

create temp table assigned_events on commit drop as
select event_id, tenant_id
from whatsapp_events
where tenant_id is not null;
