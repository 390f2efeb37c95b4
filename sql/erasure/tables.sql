-- Every table of a database's own schema, with its columns; of each whether it is bytes.
select c.relname, a.attname, a.atttypid = 'bytea'::regtype
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
where n.nspname = 'public' and c.relkind in ('r', 'p')
order by c.relname, a.attnum;
