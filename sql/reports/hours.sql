-- How many events were received in each of these UTC hours, and how many groups and people were first seen in it.
with hours as (
    select unnest(%(hours)s::timestamptz[]) as hour
),
groups as (
    select date_bin('1 hour', first_seen_at, timestamptz '2000-01-01 00:00+00') as hour, count(*) as rows
    from whatsapp_groups
    group by 1
),
people as (
    select date_bin('1 hour', first_seen_at, timestamptz '2000-01-01 00:00+00') as hour, count(*) as rows
    from whatsapp_participants
    group by 1
)
select hour,
       (select count(*) from whatsapp_events where received_at >= hour and received_at < hour + interval '1 hour'),
       coalesce(groups.rows, 0),
       coalesce(people.rows, 0)
from hours
left join groups using (hour)
left join people using (hour)
order by hour;
