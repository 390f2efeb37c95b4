-- Those of the listed files of which something was loaded and that the ledger knows with another size or etag, and the
-- digest of what was loaded; without those that are known to be changed with this etag,
-- or have expired.
select key, landing_files.sha256
from unnest(%(keys)b::text[], %(sizes)b::bigint[], %(etags)b::text[]) as listed (key, size, etag)
join landing_files using (key)
left join landing_alarms using (key)
where loaded + duplicates > 0
    and key collate "C" >= coalesce((select expired_below from erasure_state), '')
    and (landing_files.size <> listed.size or landing_files.etag <> listed.etag)
    and (landing_alarms.kind, landing_alarms.etag) is distinct from ('changed', listed.etag)
order by key collate "C";
