-- Of Dagster's storage: the runs that failed within a day, the newest first, and whether a later run of the job succeeded.
select run_id, pipeline_name as job,
       coalesce(to_timestamp(end_time), update_timestamp at time zone 'UTC') as failed_at,
       exists (select from runs as later
               where later.pipeline_name = failed.pipeline_name and later.status = 'SUCCESS' and later.id > failed.id) as is_over
from runs as failed
where status = 'FAILURE'
  and coalesce(to_timestamp(end_time), update_timestamp at time zone 'UTC') > now() - interval '1 day'
order by id desc
limit 100;
