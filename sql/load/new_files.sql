-- Those of the given landing files that the ledger doesn't know, without those of hours that have expired.
select listed.key
from unnest(%(keys)b::text[]) as listed (key)
left join landing_files on landing_files.key = listed.key
where landing_files.key is null
    and listed.key collate "C" >= coalesce((select expired_below from erasure_state), '');
