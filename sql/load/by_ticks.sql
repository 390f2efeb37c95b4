-- What ticks of the sensor have loaded since a moment, by hour of receipt, and when the last of it was; of recent hours.
select (substring(key from 'date=(.{10})') || ' ' || substring(key from 'hour=(..)') || ':00+00')::timestamptz as hour,
       count(*)::integer, sum(lines)::integer, sum(loaded)::integer, sum(duplicates)::integer, sum(quarantined)::integer,
       max(loaded_at)
from landing_files
where key collate "C" >= %(first)s and run_id = %(loader)s and loaded_at > %(told)s
group by 1
order by 1;
