-- Note the files of a stretch of the ledger that a listing lacks, though they were loaded before it began.
insert into landing_alarms (key, kind)
select key, 'missing'
from landing_files
where key collate "C" > %(after)s and key collate "C" <= %(upto)s and loaded_at < %(began)s
    and key <> all(%(keys)s)
on conflict (key) do update
set kind = 'missing', etag = null, noted_at = now()
where landing_alarms.kind <> 'missing';
