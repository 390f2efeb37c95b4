-- What a run, or the ticks of the sensor, loaded of a range of hours since a moment, by hour of receipt: files and lines,
-- how long after it landed a file was loaded at most (as the UUIDv7 of its key tells), and when the last one was.
select (substring(key from 'date=(.{10})') || ' ' || substring(key from 'hour=(..)') || ':00+00')::timestamptz as hour,
       count(*)::integer, sum(lines)::integer, sum(loaded)::integer, sum(duplicates)::integer, sum(quarantined)::integer,
       coalesce(max(extract(epoch from loaded_at - uuid_extract_timestamp(
           substring(key from '([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12})\.jsonl$')::uuid))), 0)::float8,
       max(loaded_at)
from landing_files
where key collate "C" >= %(first)s and key collate "C" < %(end)s and run_id = %(loader)s and loaded_at > %(since)s
group by 1
order by 1;
