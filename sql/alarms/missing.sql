-- Note the files of a stretch of the ledger that a listing lacks, though they were loaded before it began. What has
-- expired isn't missed.
insert into landing_alarms (key, kind)
select key, 'missing'
from landing_files
where key collate "C" > %(after)s and key collate "C" <= %(upto)s and loaded_at < %(began)s
    and key <> all(%(keys)s)
    and key collate "C" >= coalesce((select expired_below from erasure_state), '')
on conflict (key) do update
set kind = 'missing', etag = null, noted_at = now()
where landing_alarms.kind <> 'missing';
