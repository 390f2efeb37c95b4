-- Sets again what keep_assigned.sql has kept, once the landing zone is loaded:
--   psql "$DATABASE_URL" --single-transaction --file restore_assigned.sql
\set ON_ERROR_STOP on
create temp table assigned_groups (external_jid text, tenant_id uuid, internal_name text) on commit drop;
create temp table assigned_people (jid text, identity_id uuid) on commit drop;
create temp table assigned_events (event_id uuid, tenant_id uuid) on commit drop;
\copy assigned_groups from 'assigned_groups.csv' csv
\copy assigned_people from 'assigned_people.csv' csv
\copy assigned_events from 'assigned_events.csv' csv
\ir ../sql/load/assigned_again.sql
