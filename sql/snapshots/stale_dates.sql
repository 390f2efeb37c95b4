-- The UTC dates that lack a current file: past ones that have events a file that is derived from the events, the running
-- one a file of any table.
with wanted as (
    select "table", received_on as date, revision::text
    from event_days, unnest(%(of_events)s::text[]) as "table"
    where received_on < %(today)s
    union all
    select "table", %(today)s, coalesce((select revision::text from event_days where received_on = %(today)s), 'none')
    from unnest(%(of_events)s::text[]) as "table"
    union all
    select "table", %(today)s,
           (select revision::text from state_revision)
    from unnest(%(of_state)s::text[]) as "table"
)
select distinct date
from wanted
left join snapshot_files as file using ("table", date)
where file.revision is distinct from wanted.revision
order by date;
