-- What the roles may do in the lake's database: the part of roles.sql for the tables that there are and those to come.
-- The owner of the database is that of its public schema, by which only wpp_owner makes and changes tables.
revoke all on schema public from public;
grant usage on schema public to wpp_loader, wpp_reader;

grant select, insert, update, delete on all tables in schema public to wpp_loader;
grant select on all tables in schema public to wpp_reader;
alter default privileges for role wpp_owner in schema public grant select, insert, update, delete on tables to wpp_loader;
alter default privileges for role wpp_owner in schema public grant select on tables to wpp_reader;

-- The record of migrations is the owner's. It is made here, before the first migration, so that nobody else gets it.
set client_min_messages = warning;
set role wpp_owner;
\ir ../sql/schema_migrations/table.sql
revoke all on schema_migrations from wpp_loader, wpp_reader;
-- Loads refuse another schema than their own.
grant select on schema_migrations to wpp_loader;
reset role;

-- Nobody waits for a reader: a question that runs for long, or an open transaction, holds up migrations and clean-up.
alter role wpp_reader in database wpp_lake set default_transaction_read_only = on;
alter role wpp_reader in database wpp_lake set statement_timeout = '10min';
alter role wpp_reader in database wpp_lake set idle_in_transaction_session_timeout = '10min';
