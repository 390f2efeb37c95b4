"""Dagster's assembly: everything that a code location holds. No logic here."""

import dagster as dg

from pipelines.orchestration.alerts import alerts
from pipelines.orchestration.assets import landing_files, snapshots, tables
from pipelines.orchestration.buttons import BUTTONS
from pipelines.orchestration.checks import reconcile_job, whole_lake
from pipelines.orchestration.descriptions import with_code_references
from pipelines.orchestration.forgetting import expire_job, sweep_job
from pipelines.orchestration.heartbeat import heartbeats
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.schedules import SCHEDULES
from pipelines.orchestration.sensors import list_job, load_job, new_landing_files, snapshot_job, stale_snapshots

defs = dg.Definitions(
    assets=with_code_references(landing_files, tables, snapshots),
    asset_checks=[whole_lake],
    jobs=[load_job, list_job, snapshot_job, reconcile_job, sweep_job, expire_job, *BUTTONS],
    sensors=[new_landing_files, stale_snapshots, *heartbeats, *alerts],
    schedules=SCHEDULES,
    resources={"lake": Lake()},
    executor=dg.in_process_executor,  # runs are what gets distributed, not steps
)
