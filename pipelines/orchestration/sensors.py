"""The sensors that find new landing files and stale snapshots, and the jobs of which they ask for runs.

Belongs here: when a job runs, and for which partitions. Not: what it does (assets), what a tick loads itself (trickle).
A tick costs the same after a year: it lists recent hours and asks the database; a whole listing is a run of its own.
"""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import PRIORITY_TAG

from pipelines.db.connection import Connection
from pipelines.figures.waiting import RECENT
from pipelines.landing.hours import hour_key, hours_between
from pipelines.landing.zone import LandingZone
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.pending import last_listed, list_everything, note_hours, noted_hours, pending
from pipelines.orchestration import reports, trickle
from pipelines.orchestration.assets import ONLY_STALE, snapshots, tables
from pipelines.orchestration.buttons import load_range, of_dates, of_hours, snapshot_range
from pipelines.orchestration.checks import whole_lake
from pipelines.orchestration.cursors import NEVER, Cursor, past
from pipelines.orchestration.partitions import (
    DAYS,
    HOURS_TAG,
    PARTITION,
    Sizes,
    hours_named,
    hours_of,
    is_partition,
    pieces,
    range_tags,
)
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.run_heartbeats import beating, fail_silent_runs
from pipelines.orchestration.trickle import Pending
from pipelines.settings import LakeSettings

SENSOR_SECONDS = 15
# Files become visible out of order (a slow upload, a skewed clock, a second receiver): every tick lists the last hours
# against the ledger, and those since the tick before. What is older is found by listing everything, once a day.
LISTED_BY_A_TICK = timedelta(hours=24)
EVERYTHING_EVERY = timedelta(hours=24)
PAGES_IN_A_TICK = 5  # of 1,000 files: a small landing zone is listed by the tick itself
LISTED_AGAIN_AFTER = timedelta(minutes=10)
# A started run whose process was killed is ended as failed within two minutes (run_heartbeats).
UNFINISHED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTED]
# One that was killed just before it started is ended after start_timeout_seconds: nothing waits so long for it, and one
# that starts later all the same finds its hours loaded.
STARTING, BELIEVED_FOR = [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING], timedelta(minutes=5)
SOONER = {PRIORITY_TAG: "1"}  # in Dagster's queue, before what has waited for long

LATER = dg.AssetSelection.checks(whole_lake)
load_job = dg.define_asset_job("load", dg.AssetSelection.assets(tables) - LATER, description="Landing files to tables.")
snapshot_job = dg.define_asset_job(
    "snapshot", dg.AssetSelection.assets(snapshots) - LATER, description="Tables to Parquet."
)


@dg.op
def list_all_files(context: dg.OpExecutionContext) -> None:
    """Note the hours of the whole landing zone that have files which the ledger doesn't know."""
    # No resource: a sensor's job that needs one is copied with a parameter that Dagster warns of.
    lake = Lake()
    with beating(context.run_id), lake.database() as conn:
        hours = ", ".join(map(hour_key, sorted(lake.pending_hours())))
        context.log.info("hours with pending files: %s", hours or "none")
        for evaluation in reports.of_checks(conn):
            context.instance.report_runless_asset_event(evaluation)


@dg.job(name="list_landing_zone", description="The whole landing zone against the ledger; what is new is loaded then.")
def list_job() -> None:
    """List every landing file."""
    list_all_files()


@dg.sensor(
    jobs=[load_job, load_range, list_job],
    minimum_interval_seconds=SENSOR_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Loads what little has landed of late itself; asks for runs of the job load for the rest.",
)
def new_landing_files(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult:
    """Load what little has landed of late; ask for loads of what is more, or older, unless one is on its way.

    The cursor is the time since which every hour was listed by ticks, and when ticks' loads were reported last.
    """
    now, zone = datetime.now(UTC), lake.landing_zone()
    cursor = Cursor.read(context.cursor, now)
    with lake.database() as conn:
        fail_silent_runs(context.instance, conn)
        whole = past(last_listed(conn), now)
        known = max(filter(None, (cursor.since, whole)), default=NEVER)
        asked, listed = [], False
        if _is_due(whole or NEVER, known, now) and _may_list(context.instance, now):
            if list_everything(conn, zone, PAGES_IN_A_TICK):
                known, listed = now, True
            else:
                asked.append(dg.RunRequest(job_name=list_job.name))
        has_gap = known < now - LISTED_BY_A_TICK
        since = (now if has_gap else known) - RECENT
        recent = Pending.of(
            file
            for hour in hours_between(since.replace(minute=0, second=0, microsecond=0), now)
            for file in pending(conn, zone, hour)
        )
        loaded = _load_little(context, conn, zone, recent)
        hours = noted_hours(conn) | (seen := {} if loaded else dict(recent.hours))
        left = _not_on_their_way(context.instance, hours) if hours else {}
        # Until a load has taken them, whatever becomes of it. It forgets what was noted before it began.
        note_hours(conn, left | seen)
        events, told = trickle.report(conn, since, Pending() if loaded else recent, cursor)
        if listed and not events:
            events = [*reports.of_checks(conn)]  # the listing may have found what is missing or changed
    reason = str(loaded) if loaded else "a load is on its way" if hours else "no new landing files"
    if left and (not_yet := _why_not_yet(context.instance, lake.settings(), now)):
        left, reason = {}, not_yet
    asked += _loads(left, now)
    return dg.SensorResult(
        run_requests=asked,
        skip_reason=None if asked else reason,
        cursor=str(told if has_gap else told._replace(since=now)) or None,
        asset_events=events,
    )


def _load_little(
    context: dg.SensorEvaluationContext, conn: Connection, zone: LandingZone, recent: Pending
) -> LoadCounts | None:
    """Load recent files within the tick, where they are few; None where a run has to.

    What fails becomes a run, which fails too, where everybody sees it.
    """
    if not recent.is_little:
        return None
    try:
        return trickle.load_little(conn, zone, recent.hours)
    except Exception:
        context.log.exception("not loaded within the tick: a run tries it again")
        return None


def _not_on_their_way(instance: dg.DagsterInstance, hours: Sizes) -> dict[datetime, int | None]:
    """Leave out the hours of loads that haven't ended: of a backlog most are queued."""
    loads = _unfinished(instance, load_job.name) + _unfinished(instance, load_range.name)
    taken = {hour for run in loads for hour in hours_of(run.tags)}
    return {hour: size for hour, size in hours.items() if hour not in taken}


def _why_not_yet(instance: dg.DagsterInstance, settings: LakeSettings, now: datetime) -> str | None:
    """Return why no load is asked for now, None where one is."""
    lately = now - timedelta(seconds=settings.load_seconds)
    for job in (load_job.name, load_range.name):
        if instance.get_runs_count(dg.RunsFilter(job_name=job, created_after=lately)):
            return f"a load began within LOAD_SECONDS ({settings.load_seconds:g})"
    return None


def _is_due(whole: datetime, known: datetime, now: datetime) -> bool:
    """Tell whether everything has to be listed: once a day, and when ticks failed to come for so long."""
    return whole < now - EVERYTHING_EVERY or known < now - LISTED_BY_A_TICK


def _loads(hours: Sizes, now: datetime) -> list[dg.RunRequest]:
    """Return a run for each piece of these hours; those that are no partitions (a clock was ahead) are loaded too."""
    inside = [
        dg.RunRequest(job_name=load_job.name, tags=range_tags(first, last) | (SOONER if last > now - RECENT else {}))
        for first, last in pieces({hour: size for hour, size in hours.items() if is_partition(hour)})
    ]
    outside = [
        dg.RunRequest(
            job_name=load_range.name, run_config=of_hours(first, last), tags={HOURS_TAG: hours_named(first, last)}
        )
        for first, last in pieces({hour: size for hour, size in hours.items() if not is_partition(hour)})
    ]
    return inside + outside


def _may_list(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Tell whether a whole listing may be asked for: none is on its way, or was lately."""
    job = list_job.name
    lately = dg.RunsFilter(job_name=job, created_after=now - LISTED_AGAIN_AFTER)
    return not instance.get_runs_count(lately) and not _unfinished(instance, job)


@dg.sensor(
    jobs=[snapshot_job, snapshot_range],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Writes the snapshots that show less than the tables do.",
)
def stale_snapshots(
    context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]
) -> dg.SensorResult | dg.SkipReason:
    """Ask for the snapshots that are stale, every SNAPSHOT_MINUTES at most, unless some are on their way."""
    now = datetime.now(UTC)
    every, last = timedelta(minutes=lake.settings().snapshot_minutes), Cursor.read(context.cursor, now).since
    if last and now < last + every:
        return dg.SkipReason(f"written within SNAPSHOT_MINUTES ({every / timedelta(minutes=1):g})")
    if not (stale := lake.stale_dates(listed=False)):
        return dg.SkipReason("every snapshot shows what the tables have")
    taken = {run.tags.get(PARTITION) for run in _unfinished(context.instance, snapshot_job.name)}
    if not (asked := [_snapshot(day) for day in stale if day.isoformat() not in taken]):
        return dg.SkipReason("a snapshot is on its way")
    return dg.SensorResult(run_requests=asked, cursor=now.isoformat())


def _snapshot(day: date) -> dg.RunRequest:
    """Return a run for a date; one that is no partition is written all the same."""
    if DAYS.has_partition_key(day.isoformat()):
        return dg.RunRequest(job_name=snapshot_job.name, partition_key=day.isoformat(), tags={ONLY_STALE: "true"})
    return dg.RunRequest(job_name=snapshot_range.name, run_config=of_dates(day, day, only_stale=True))


def _unfinished(instance: dg.DagsterInstance, job: str) -> list[dg.DagsterRun]:
    """Return the runs of a job that are queued, at work, or about to start."""
    lately = datetime.now(UTC) - BELIEVED_FOR
    starting = dg.RunsFilter(job_name=job, statuses=STARTING, updated_after=lately)
    return [*instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED)), *instance.get_runs(starting)]
