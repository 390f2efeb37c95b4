-- Those of the given landing files that the ledger doesn't know.
select listed.key
from unnest(%(keys)b::text[]) as listed (key)
left join landing_files on landing_files.key = listed.key
where landing_files.key is null;
