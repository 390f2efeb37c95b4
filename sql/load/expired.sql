-- Of how many landing files a rebuild loads nothing because they have expired, and how many of their lines were loaded.
select count(*), coalesce(sum(lines), 0)::bigint
from former_ledger
where key collate "C" < coalesce((select expired_below from erasure_state), '');
