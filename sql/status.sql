-- What the ledger holds.
select count(*) as landed_files,
       coalesce(sum(lines), 0)::bigint as landed_events,
       coalesce(sum(loaded + duplicates), 0)::bigint as loaded_events,
       coalesce(sum(quarantined), 0)::bigint as quarantined
from landing_files;
