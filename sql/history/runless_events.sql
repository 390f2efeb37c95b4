-- Delete the old events that belong to no run and aren't the newest of their asset, kind and partition; their tags too.
with gone as (
    delete from event_logs old
    where run_id = '' and asset_key is not null and timestamp < %(before)s at time zone 'UTC'
      and (exists (select from event_logs newer
                   where newer.asset_key = old.asset_key and newer.dagster_event_type = old.dagster_event_type
                     and newer.partition = old.partition and newer.id > old.id)
           or partition is null
              and exists (select from event_logs newer
                          where newer.asset_key = old.asset_key and newer.dagster_event_type = old.dagster_event_type
                            and newer.partition is null and newer.id > old.id))
    returning id),
tags as (
    delete from asset_event_tags
    where event_id in (select id from gone))
select count(*) from gone;
