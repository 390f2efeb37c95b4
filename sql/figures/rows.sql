-- How many rows each table has that has snapshots.
select 'whatsapp_events', count(*) from whatsapp_events
union all
select 'whatsapp_groups', count(*) from whatsapp_groups
union all
select 'whatsapp_participants', count(*) from whatsapp_participants
union all
select 'whatsapp_participant_jids', count(*) from whatsapp_participant_jids;
