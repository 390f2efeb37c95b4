-- What loading needs and this role may not do.
select format('%s on %s', privilege, relname)
from pg_class cross join unnest(array['select', 'insert', 'update', 'delete']) privilege
where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p')
    and (relname <> 'schema_migrations' or privilege = 'select')
    and not has_table_privilege(pg_class.oid, privilege)
union all
select 'temporary tables' where not has_database_privilege(current_database(), 'temporary')
order by 1;
