"""What makes runs by itself: the sensors that find new landing files and stale snapshots.

Belongs here: when a job runs, and for which partitions. Not: what it does (assets).
"""

from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines import run_processes
from pipelines.assets import ONLY_STALE, Lake, snapshots, tables
from pipelines.partitions import HOURS, hour_key, range_tags

SENSOR_SECONDS = 10
# Files become visible out of order (a slow upload, a skewed clock, a second receiver): every tick lists the last hours
# against the ledger; the whole landing zone now and then, and as long as something older waits.
RECENT_HOURS = 3
EVERYTHING_EVERY = timedelta(hours=1)
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
# A run that was killed on another host stays "started" in Dagster's storage: after this time nothing waits for it.
# One that really takes so long is in no danger: the next load waits for it at the database's lock.
BELIEVED_FOR = timedelta(minutes=5)

load_job = dg.define_asset_job("load", [tables], description="Landing files to tables.")
snapshot_job = dg.define_asset_job("snapshot", [snapshots], description="Tables to Parquet.")


@dg.sensor(
    job=load_job,
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Loads the hours that have new landing files.",
)
def new_landing_files(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
) -> dg.SensorResult | dg.SkipReason:
    """Ask for loads of the hours that have files unknown to the ledger, unless a load is on its way."""
    run_processes.end_killed(context.instance)
    if _is_on_its_way(context.instance, load_job.name):
        return dg.SkipReason("a load is on its way")
    now = datetime.now(UTC)
    everything = context.cursor is None or datetime.fromisoformat(context.cursor) + EVERYTHING_EVERY <= now
    listed = [] if everything else [now - timedelta(hours=back) for back in range(RECENT_HOURS)]
    pending = lake.pending_hours(*listed)
    hours = {hour for hour in pending if HOURS.has_partition_key(hour_key(hour))}
    for hour in pending - hours:
        context.log.warning("landing files wait in %s, which is no hour to load yet, or ever", hour_key(hour))
    return dg.SensorResult(
        run_requests=[dg.RunRequest(tags=tags) for tags in range_tags(hours)],
        cursor=now.isoformat() if everything and not hours else context.cursor,
    )


@dg.sensor(
    job=snapshot_job,
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes the snapshots that show less than the tables do.",
)
def stale_snapshots(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
) -> dg.SensorResult | dg.SkipReason:
    """Ask for the snapshots that are stale, every SNAPSHOT_MINUTES at most, unless some are on their way."""
    now = datetime.now(UTC)
    every = timedelta(minutes=lake.settings().snapshot_minutes)
    if context.cursor and now < datetime.fromisoformat(context.cursor) + every:
        return dg.SkipReason("not due yet")
    run_processes.end_killed(context.instance)
    if _is_on_its_way(context.instance, snapshot_job.name):
        return dg.SkipReason("a snapshot is on its way")
    tags = {ONLY_STALE: "true"}
    asked = [dg.RunRequest(partition_key=day.isoformat(), tags=tags) for day in lake.stale_dates()]
    return dg.SensorResult(run_requests=asked, cursor=now.isoformat() if asked else None)


def _is_on_its_way(instance: dg.DagsterInstance, job: str) -> bool:
    lately = datetime.now(UTC) - BELIEVED_FOR
    return instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=UNFINISHED, created_after=lately)) > 0
