-- Those of the given keys that the ledger doesn't know.
select key
from unnest(%(keys)s::text[]) as listed (key)
where not exists (select from landing_files where landing_files.key = listed.key)
order by key collate "C";
