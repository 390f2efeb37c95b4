-- The noted snapshot files since a date, each with its revision and whether that is the present one. A table's state of a
-- past date has none.
select "table", date, revision,
       revision = case when "table" = %(events)s
                       then coalesce((select revision::text from event_days where received_on = date), 'none')
                       else (select revision::text from state_revision)
                  end as current
from snapshot_files
where date >= %(since)s and "table" = any(%(tables)s) and ("table" = %(events)s or date = %(today)s)
order by date, "table";
