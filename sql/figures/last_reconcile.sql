-- Of Dagster's storage: the last run of `reconcile` that ended, when that was, and whether it got to its end; and of the
-- checks that failed in it the name, whether something is wrong then (ERROR, not WARN), and the first thing that they
-- name. Dagster keeps an evaluation as JSON.
select run.run_id, coalesce(to_timestamp(run.end_time), run.update_timestamp at time zone 'UTC') as ended_at,
       run.status = 'SUCCESS' as is_whole,
       (select coalesce(json_agg(json_build_object(
            'name', check_name,
            'is_error', evaluated #>> '{severity,__enum__}' = 'AssetCheckSeverity.ERROR',
            'first', coalesce(split_part(evaluated #>> '{metadata,first,text}', E'\n', 1), '')) order by id), '[]')
        from asset_check_executions as each,
             cast(evaluation_event::json #> '{dagster_event,event_specific_data}' as json) as evaluated
        where each.run_id = run.run_id and execution_status = 'FAILED') as failed
from runs as run
where pipeline_name = 'reconcile' and status in ('SUCCESS', 'FAILURE')
order by run.id desc
limit 1;
