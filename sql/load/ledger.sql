-- The ledger's entries of landing files. Where another load is entering one of them, this waits, and fails if it did.
insert into landing_files (key, etag, size, lines, loaded, duplicates, quarantined, run_id)
select key, etag, size, lines, loaded, duplicates, quarantined, %(run_id)s
from unnest(%(key)s::text[], %(etag)s::text[], %(size)s::bigint[], %(lines)s::integer[], %(loaded)s::integer[],
            %(duplicates)s::integer[], %(quarantined)s::integer[])
    as entry (key, etag, size, lines, loaded, duplicates, quarantined)
order by key;
