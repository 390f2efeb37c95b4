"""The schedules: jobs that run once a day or a week, at their time and never because the stack has just started.

Belongs here: when. Not: what the jobs do (assets, buttons, checks).
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.landing.hours import hour_key, hours_between
from pipelines.orchestration.buttons import prune_job
from pipelines.orchestration.checks import of_comparison, reconcile_job
from pipelines.orchestration.forgetting import (
    RETENTION,
    RETENTION_OF_CONTENT,
    expire_job,
    has_erasures,
    is_expiring,
    sweep_job,
)
from pipelines.orchestration.partitions import is_partition, range_tags, stretches
from pipelines.orchestration.reports import EVENTS
from pipelines.orchestration.sensors import load_job

LATEST = timedelta(hours=1)  # Dagster makes up for a time that it slept through, as soon as it is started
CLOSED_AGAIN = timedelta(days=92)  # hours of so many days that were never closed, while nothing ran

_UNSET = f"neither {RETENTION} nor {RETENTION_OF_CONTENT} is set"
Requests = Callable[[dg.ScheduleEvaluationContext], Iterable[dg.RunRequest | dg.SkipReason]]


def _daily(
    name: str, job: "dg.JobDefinition | dg.UnresolvedAssetJobDefinition", cron: str, requests: Requests
) -> dg.ScheduleDefinition:
    """Return a schedule in UTC that skips a time which has long passed."""

    def evaluate(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        due = context.scheduled_execution_time
        if datetime.now(UTC) > due + LATEST:
            yield dg.SkipReason(f"nothing ran at {due:%Y-%m-%d %H:%M} UTC; it is not made up for")
        else:
            yield from requests(context)

    return dg.ScheduleDefinition(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        execution_fn=evaluate,
    )


def _sweeping(_: dg.ScheduleEvaluationContext) -> Iterable[dg.RunRequest | dg.SkipReason]:
    """Ask for a sweep where somebody was erased, or anything has expired."""
    return [dg.RunRequest() if has_erasures() else dg.SkipReason("nobody was erased, and nothing has expired")]


def _expiring(_: dg.ScheduleEvaluationContext) -> Iterable[dg.RunRequest | dg.SkipReason]:
    """Ask for an expiry where that is set."""
    return [dg.RunRequest() if is_expiring() else dg.SkipReason(f"nothing expires: {_UNSET}")]


def _closing(context: dg.ScheduleEvaluationContext) -> Iterable[dg.RunRequest]:
    """Ask for loads of yesterday's hours, the empty ones too, and of those before that nobody has materialised."""
    midnight = context.scheduled_execution_time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    yesterday, last = midnight - timedelta(days=1), midnight - timedelta(hours=1)
    known = context.instance.get_materialized_partitions(dg.AssetKey(["tables", EVENTS]))
    hours = [
        hour
        for hour in hours_between(midnight - CLOSED_AGAIN, last)
        if is_partition(hour) and (hour >= yesterday or hour_key(hour) not in known)
    ]
    return [dg.RunRequest(tags=range_tags(*stretch)) for stretch in stretches(hours)]


SCHEDULES = [
    _daily("close_yesterday", load_job, "20 0 * * *", _closing),
    _daily("daily_expiry", expire_job, "40 2 * * *", _expiring),
    _daily("daily_sweep", sweep_job, "10 3 * * *", _sweeping),
    _daily("nightly_prune", prune_job, "40 3 * * *", lambda _: [dg.RunRequest()]),
    _daily("daily_reconcile", reconcile_job, "10 4 * * 1-6", lambda _: [dg.RunRequest()]),
    _daily(
        "weekly_reconcile", reconcile_job, "10 4 * * 0", lambda _: [dg.RunRequest(run_config=of_comparison(full=True))]
    ),
]
