-- Delete what these runs said of checks: Dagster leaves it when a run goes, and shows a check as skipped that a run only
-- planned and that is gone.
with gone as (
    delete from asset_check_executions
    where run_id = any(%(runs)s)
    returning id)
select count(*) from gone;
