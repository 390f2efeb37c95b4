-- Which of these tables there are, and the bytes of each with its indexes, the largest first.
select c.relname, pg_total_relation_size(c.oid)
from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and c.relname = any(%(names)s)
order by 2 desc, 1;
