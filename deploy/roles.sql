-- The roles and databases of a deployment, for psql as a superuser or as a role that may create both. Passwords aren't
-- here: docs/deploy.md gives them. It may be run again at any time, and must be after a database was restored.
--
--   wpp_owner    owns the lake's schema: `wpp-lake migrate` alone
--   wpp_loader   the pipelines: reads and writes rows, changes no schema
--   wpp_reader   whoever asks: reads
--   wpp_dagster  owns Dagster's own database, and reaches no other
\set ON_ERROR_STOP on
set client_min_messages = warning; -- that something is there already is no news

select format('create role %I login', name) from unnest(array['wpp_owner', 'wpp_loader', 'wpp_reader', 'wpp_dagster']) name
where not exists (select from pg_roles where rolname = name) \gexec

-- Who isn't a superuser may give a database to a role only as a member of it.
grant wpp_owner, wpp_dagster to current_user;

-- As the embedded server has them: the order of text doesn't depend on a library of the machine.
select format($$create database %I owner %I encoding 'UTF8' locale_provider builtin builtin_locale 'C.UTF-8' locale 'C'
                template template0$$, name, owner)
from (values ('wpp_lake', 'wpp_owner'), ('wpp_dagster', 'wpp_dagster')) wanted (name, owner)
where not exists (select from pg_database where datname = name) \gexec

-- Temporary tables are the loader's staging; nobody else needs any.
revoke all on database wpp_lake, wpp_dagster from public;
grant connect, temporary on database wpp_lake to wpp_loader;
grant connect on database wpp_lake to wpp_reader;

\connect wpp_lake
\ir roles_in_lake.sql
