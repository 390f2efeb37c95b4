"""Keeps Dagster's own storage within bounds: the job that prunes its history, and the schedule that runs it.

Belongs here: when it happens. Not: what is deleted (history).
"""

from datetime import timedelta

import dagster as dg

from pipelines.orchestration import orphaned_runs
from pipelines.orchestration.history import prune
from pipelines.orchestration.resources import Lake


@dg.op(description="Deletes the runs that ended more than RUN_HISTORY_DAYS ago.")
def old_runs(context: dg.OpExecutionContext, lake: dg.ResourceParam[Lake]) -> None:
    """Delete old runs; how far it is stands in the run's log."""
    orphaned_runs.tag_run_with_process(context.instance, context.run_id)
    days = lake.settings().run_history_days
    context.log.info("older than %d days: %s", days, prune(context.instance, timedelta(days=days)))


@dg.job(name="prune", description="Old runs out of Dagster's storage.")
def prune_job() -> None:
    """Delete old runs."""
    old_runs()


nightly_prune = dg.ScheduleDefinition(
    name="nightly_prune",
    job=prune_job,
    cron_schedule="40 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
