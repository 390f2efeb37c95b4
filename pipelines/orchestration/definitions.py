"""Dagster's assembly: everything that a code location holds. No logic here."""

import dagster as dg

from pipelines.orchestration.alerts import alerts
from pipelines.orchestration.assets import landing_files, snapshots, tables
from pipelines.orchestration.checks import daily_reconcile, reconcile_job, weekly_reconcile, whole_lake
from pipelines.orchestration.heartbeat import heartbeats
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.sensors import list_job, load_job, new_landing_files, snapshot_job, stale_snapshots
from pipelines.orchestration.upkeep import nightly_prune, prune_job

defs = dg.Definitions(
    assets=[landing_files, tables, snapshots],
    asset_checks=[whole_lake],
    jobs=[load_job, list_job, snapshot_job, prune_job, reconcile_job],
    sensors=[new_landing_files, stale_snapshots, *heartbeats, *alerts],
    schedules=[nightly_prune, daily_reconcile, weekly_reconcile],
    resources={"lake": Lake()},
    executor=dg.in_process_executor,  # runs are what gets distributed, not steps
)
