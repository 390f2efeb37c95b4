-- The ledger's entries of landing files. Where another load is entering one of them, this waits, and fails if it did.
insert into landing_files (key, etag, size, sha256, lines, loaded, duplicates, quarantined, run_id, rules)
select key, etag, size, sha256, lines, loaded, duplicates, quarantined, %(run_id)s, %(rules)s
from unnest(%(key)b::text[], %(etag)b::text[], %(size)b::bigint[], %(sha256)b::text[], %(lines)b::integer[],
            %(loaded)b::integer[], %(duplicates)b::integer[], %(quarantined)b::integer[])
    as entry (key, etag, size, sha256, lines, loaded, duplicates, quarantined)
order by key;
