-- Who asks, and what it may do that no pipeline needs: everything, or change the schema.
select current_user::text, rolsuper, pg_has_role(nspowner, 'usage') or has_schema_privilege(nsp.oid, 'create')
from pg_roles, pg_namespace nsp
where rolname = current_user and nspname = current_schema();
