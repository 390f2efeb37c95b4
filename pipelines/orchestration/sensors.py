"""Starts runs by itself: the sensors that find new landing files and stale snapshots, and the jobs.

Belongs here: when a job runs, and for which partitions. Not: what it does (assets). A tick costs the same after a year:
it lists recent hours and asks the database; a whole listing is a run of its own.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.db.connection import Connection
from pipelines.landing.hours import hour_key
from pipelines.loading.pending import forget_hours, last_listed, list_everything, noted_hours, pending
from pipelines.orchestration import orphaned_runs
from pipelines.orchestration.assets import ONLY_STALE, snapshots, tables
from pipelines.orchestration.checks import whole_lake
from pipelines.orchestration.partitions import HOURS, range_tags
from pipelines.orchestration.resources import Lake

SENSOR_SECONDS = 10
# Files become visible out of order (a slow upload, a skewed clock, a second receiver): every tick lists the last hours
# against the ledger, and those since the tick before. What is older is found by listing everything, once a day.
RECENT = timedelta(hours=3)
LISTED_BY_A_TICK = timedelta(hours=24)
EVERYTHING_EVERY = timedelta(hours=24)
PAGES_IN_A_TICK = 5  # of 1,000 files: a small landing zone is listed by the tick itself
LISTED_AGAIN_AFTER = timedelta(minutes=10)
LONGEST_LISTING = timedelta(hours=2)
NEVER = datetime.min.replace(tzinfo=UTC)
CLOCKS_DIFFER_BY = timedelta(minutes=1)
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
# A run that was killed on another host stays "started" in Dagster's storage: after this time nothing waits for it.
# One that really takes so long is in no danger: the next load waits for it at the database's lock.
BELIEVED_FOR = timedelta(minutes=5)

LATER = dg.AssetSelection.checks(whole_lake)
load_job = dg.define_asset_job("load", dg.AssetSelection.assets(tables) - LATER, description="Landing files to tables.")
snapshot_job = dg.define_asset_job(
    "snapshot", dg.AssetSelection.assets(snapshots) - LATER, description="Tables to Parquet."
)


@dg.op
def list_all_files(context: dg.OpExecutionContext) -> None:
    """Note the hours of the whole landing zone that have files which the ledger doesn't know."""
    orphaned_runs.tag_run_with_process(context.instance, context.run_id)
    # No resource: a sensor's job that needs one is copied with a parameter that Dagster warns of.
    context.log.info("hours with pending files: %s", ", ".join(map(hour_key, sorted(Lake().pending_hours()))) or "none")


@dg.job(name="list_landing_zone", description="The whole landing zone against the ledger; what is new is loaded then.")
def list_job() -> None:
    """List every landing file."""
    list_all_files()


@dg.sensor(
    jobs=[load_job, list_job],
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Loads the hours that have new landing files.",
)
def new_landing_files(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
) -> dg.SensorResult | dg.SkipReason:
    """Ask for loads of the hours that have files unknown to the ledger, unless a load is on its way.

    The cursor is the time since which every hour was listed by ticks.
    """
    orphaned_runs.fail_orphaned_runs(context.instance)
    if _is_on_its_way(context.instance, load_job.name):
        return dg.SkipReason("a load is on its way")
    now, zone = datetime.now(UTC), lake.landing_zone()
    with lake.database() as conn:
        whole = _past(last_listed(conn), now)
        known = max(filter(None, (_cursor(context, now), whole)), default=NEVER)
        asked = []
        if _is_due(whole or NEVER, known, now) and _may_list(context.instance, now):
            if list_everything(conn, zone, PAGES_IN_A_TICK):
                known = now
            else:
                asked.append(dg.RunRequest(job_name=list_job.name))
        has_gap = known < now - LISTED_BY_A_TICK
        since = now if has_gap else known
        found = {file.hour for hour in _hours(since - RECENT, now) for file in pending(conn, zone, hour)}
        hours = _loadable(context, conn, found | noted_hours(conn))
    asked += [dg.RunRequest(job_name=load_job.name, tags=tags) for tags in range_tags(hours)]
    return dg.SensorResult(run_requests=asked, cursor=context.cursor if has_gap else now.isoformat())


def _is_due(whole: datetime, known: datetime, now: datetime) -> bool:
    """Tell whether everything has to be listed: once a day, and when ticks failed to come for so long."""
    return whole < now - EVERYTHING_EVERY or known < now - LISTED_BY_A_TICK


def _hours(since: datetime, until: datetime) -> Iterable[datetime]:
    """Return the hours between two moments, both of theirs included."""
    first = since.replace(minute=0, second=0, microsecond=0)
    return [first + timedelta(hours=number) for number in range(int((until - first) / timedelta(hours=1)) + 1)]


def _loadable(context: dg.SensorEvaluationContext, conn: Connection, hours: set[datetime]) -> set[datetime]:
    """Return the hours that are partitions; the others are told, and forgotten until they are listed again."""
    loadable = {hour for hour in hours if HOURS.has_partition_key(hour_key(hour))}
    for hour in hours - loadable:
        context.log.warning("landing files wait in %s, which is no hour to load yet, or ever", hour_key(hour))
    forget_hours(conn, hours - loadable)
    return loadable


def _may_list(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Tell whether a whole listing may be asked for: none is on its way, or was lately."""
    job = list_job.name
    lately = dg.RunsFilter(job_name=job, created_after=now - LISTED_AGAIN_AFTER)
    running = dg.RunsFilter(job_name=job, created_after=now - LONGEST_LISTING, statuses=UNFINISHED)
    return not any(map(instance.get_runs_count, (lately, running)))


def _cursor(context: dg.SensorEvaluationContext, now: datetime) -> datetime | None:
    """Return the cursor's moment; None where it has none, or one of a clock that once was ahead."""
    try:
        return _past(datetime.fromisoformat(context.cursor or ""), now)
    except ValueError:
        return None


def _past(moment: datetime | None, now: datetime) -> datetime | None:
    """Return a moment, but None for one in the future."""
    return min(moment, now) if moment and moment < now + CLOCKS_DIFFER_BY else None


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
    every, last = timedelta(minutes=lake.settings().snapshot_minutes), _cursor(context, now)
    if last and now < last + every:
        return dg.SkipReason("not due yet")
    orphaned_runs.fail_orphaned_runs(context.instance)
    if _is_on_its_way(context.instance, snapshot_job.name):
        return dg.SkipReason("a snapshot is on its way")
    tags = {ONLY_STALE: "true"}
    asked = [dg.RunRequest(partition_key=day.isoformat(), tags=tags) for day in lake.stale_dates(listed=False)]
    return dg.SensorResult(run_requests=asked, cursor=now.isoformat() if asked else None)


def _is_on_its_way(instance: dg.DagsterInstance, job: str) -> bool:
    lately = datetime.now(UTC) - BELIEVED_FOR
    return instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=UNFINISHED, created_after=lately)) > 0
