-- The bytes that the lake's database, landing files and snapshots take, and what was landed, in all and per day of the
-- last week. The date is that of the key: after a rebuild every file was loaded of late.
with week as (
    select (now() at time zone 'UTC')::date - 6 as first_day
), landed as (
    select coalesce(sum(size), 0)::bigint as bytes,
           coalesce(sum(size) filter (where substring(key from 'date=(\d{4}-\d\d-\d\d)/')::date >= first_day), 0) as lately,
           least(7, (now() at time zone 'UTC')::date - min(substring(key from 'date=(\d{4}-\d\d-\d\d)/'))::date + 1) as days
    from landing_files, week
)
select pg_database_size(current_database()),
       bytes + (select coalesce(sum(bytes), 0)::bigint from snapshot_files),
       bytes,
       (lately / greatest(coalesce(days, 1), 1))::bigint
from landed;
