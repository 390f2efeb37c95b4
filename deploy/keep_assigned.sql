-- What people have set in the tables and no landing file holds, as three CSV files in the folder in which psql runs:
--   psql "$DATABASE_URL" --file keep_assigned.sql
\set ON_ERROR_STOP on
\copy (select external_jid, tenant_id, internal_name from whatsapp_groups where tenant_id is not null or internal_name is not null) to 'assigned_groups.csv' csv
\copy (select jid, identity_id from whatsapp_participants join whatsapp_participant_jids on participant_id = id where identity_id is not null) to 'assigned_people.csv' csv
\copy (select event_id, tenant_id from whatsapp_events where tenant_id is not null) to 'assigned_events.csv' csv
