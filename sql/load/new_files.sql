-- Those of the listed files that the ledger doesn't know, or knows with another etag.
select listed.key, landing_files.key is not null as changed
from unnest(%(keys)s::text[], %(etags)s::text[]) as listed (key, etag)
left join landing_files on landing_files.key = listed.key
where landing_files.key is null or landing_files.etag <> listed.etag
order by listed.key collate "C";
