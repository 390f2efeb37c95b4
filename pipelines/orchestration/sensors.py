"""The sensors that find new landing files and stale snapshots, and the jobs of which they ask for runs.

Belongs here: when a job runs, and for which partitions. Not: what it does (assets), what a tick loads itself (trickle).
A tick costs the same after a year: it lists recent hours and asks the database; a whole listing is a run of its own.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import filterfalse

import dagster as dg

from pipelines.db.connection import Connection
from pipelines.figures.waiting import RECENT
from pipelines.landing.hours import hour_key, hours_between
from pipelines.landing.zone import LandingZone
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.pending import last_listed, list_everything, note_hours, noted_hours, pending
from pipelines.orchestration import orphaned_runs, reports, trickle
from pipelines.orchestration.assets import ONLY_STALE, snapshots, tables
from pipelines.orchestration.buttons import load_range, of_dates, of_hours, snapshot_range
from pipelines.orchestration.checks import whole_lake
from pipelines.orchestration.cursors import NEVER, Cursor, past
from pipelines.orchestration.partitions import DAYS, HOURS_TAG, hours_named, is_partition, range_tags, stretches
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.trickle import Pending
from pipelines.settings import LakeSettings

SENSOR_SECONDS = 15
# Files become visible out of order (a slow upload, a skewed clock, a second receiver): every tick lists the last hours
# against the ledger, and those since the tick before. What is older is found by listing everything, once a day.
LISTED_BY_A_TICK = timedelta(hours=24)
EVERYTHING_EVERY = timedelta(hours=24)
PAGES_IN_A_TICK = 5  # of 1,000 files: a small landing zone is listed by the tick itself
LISTED_AGAIN_AFTER = timedelta(minutes=10)
LONGEST_LISTING = timedelta(hours=2)
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
    lake = Lake()
    hours = ", ".join(map(hour_key, sorted(lake.pending_hours())))
    context.log.info("hours with pending files: %s", hours or "none")
    with lake.database() as conn:
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
        hours = noted_hours(conn) | (set() if loaded else recent.hours)
        note_hours(conn, hours)  # until a load has taken them, whatever becomes of the run
        events, told = trickle.report(conn, since, Pending() if loaded else recent, cursor)
        if listed and not events:
            events = [*reports.of_checks(conn)]  # the listing may have found what is missing or changed
    if hours and (reason := _why_not_yet(context.instance, lake.settings(), now)):
        hours = set()
    else:
        reason = str(loaded) if loaded else "no new landing files"
    asked += _loads(hours)
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


def _why_not_yet(instance: dg.DagsterInstance, settings: LakeSettings, now: datetime) -> str | None:
    """Return why no load is asked for now, None where one is."""
    orphaned_runs.fail_orphaned_runs(instance)
    for job in (load_job.name, load_range.name):
        if _is_on_its_way(instance, job):
            return "a load is on its way"
        lately = dg.RunsFilter(job_name=job, created_after=now - timedelta(seconds=settings.load_seconds))
        if instance.get_runs_count(lately):
            return f"a load began within LOAD_SECONDS ({settings.load_seconds:g})"
    return None


def _is_due(whole: datetime, known: datetime, now: datetime) -> bool:
    """Tell whether everything has to be listed: once a day, and when ticks failed to come for so long."""
    return whole < now - EVERYTHING_EVERY or known < now - LISTED_BY_A_TICK


def _loads(hours: Iterable[datetime]) -> list[dg.RunRequest]:
    """Return one run for each stretch of hours; those that are no partitions (a clock was ahead) are loaded too."""
    inside = [
        dg.RunRequest(job_name=load_job.name, tags=range_tags(first, last))
        for first, last in stretches(filter(is_partition, hours))
    ]
    outside = [
        dg.RunRequest(
            job_name=load_range.name, run_config=of_hours(first, last), tags={HOURS_TAG: hours_named(first, last)}
        )
        for first, last in stretches(filterfalse(is_partition, hours))
    ]
    return inside + outside


def _may_list(instance: dg.DagsterInstance, now: datetime) -> bool:
    """Tell whether a whole listing may be asked for: none is on its way, or was lately."""
    job = list_job.name
    lately = dg.RunsFilter(job_name=job, created_after=now - LISTED_AGAIN_AFTER)
    running = dg.RunsFilter(job_name=job, created_after=now - LONGEST_LISTING, statuses=UNFINISHED)
    return not any(map(instance.get_runs_count, (lately, running)))


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
    orphaned_runs.fail_orphaned_runs(context.instance)
    if last and now < last + every:
        return dg.SkipReason(f"written within SNAPSHOT_MINUTES ({every / timedelta(minutes=1):g})")
    if _is_on_its_way(context.instance, snapshot_job.name):
        return dg.SkipReason("a snapshot is on its way")
    asked = [_snapshot(day) for day in lake.stale_dates(listed=False)]
    if not asked:
        return dg.SkipReason("every snapshot shows what the tables have")
    return dg.SensorResult(run_requests=asked, cursor=now.isoformat())


def _snapshot(day: date) -> dg.RunRequest:
    """Return a run for a date; one that is no partition is written all the same."""
    if DAYS.has_partition_key(day.isoformat()):
        return dg.RunRequest(job_name=snapshot_job.name, partition_key=day.isoformat(), tags={ONLY_STALE: "true"})
    return dg.RunRequest(job_name=snapshot_range.name, run_config=of_dates(day, day, only_stale=True))


def _is_on_its_way(instance: dg.DagsterInstance, job: str) -> bool:
    lately = datetime.now(UTC) - BELIEVED_FOR
    return instance.get_runs_count(dg.RunsFilter(job_name=job, statuses=UNFINISHED, created_after=lately)) > 0
