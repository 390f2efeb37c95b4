-- Those of the listed files that the ledger doesn't know, or knows with another size or etag.
select listed.key, landing_files.key is not null as changed
from unnest(%(keys)b::text[], %(sizes)b::bigint[], %(etags)b::text[]) as listed (key, size, etag)
left join landing_files on landing_files.key = listed.key
where landing_files.key is null or landing_files.size <> listed.size or landing_files.etag <> listed.etag
order by listed.key collate "C";
