-- Delete the old evaluations of checks that belong to no run and aren't the newest of their check and partition; their
-- events too.
with gone as (
    delete from asset_check_executions old
    where run_id = '' and evaluation_event_timestamp < %(before)s at time zone 'UTC'
      and exists (select from asset_check_executions newer
                  where newer.asset_key = old.asset_key and newer.check_name = old.check_name
                    and newer.partition is not distinct from old.partition
                    and newer.execution_status <> 'PLANNED' and newer.id > old.id)
    returning evaluation_event_storage_id as id),
events as (
    delete from event_logs
    where id in (select id from gone))
select count(*) from gone;
