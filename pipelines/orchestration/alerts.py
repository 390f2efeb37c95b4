"""Alerts: posts to ALERT_WEBHOOK_URL what fails, and when it is over; once a day, that all is well, with the numbers.

Belongs here: what counts as trouble, and the messages, which hold nothing of a person. Not: what the checks compare
(checks), the sign of life for a service elsewhere (heartbeat). There is the sensor only where ALERT_WEBHOOK_URL is set.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Self

import dagster as dg
import orjson
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as CheckStatus

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.doctor.disk import MANY_DAYS, days_left
from pipelines.errors import first_line
from pipelines.orchestration.buttons import load_range, prune_job, snapshot_range
from pipelines.orchestration.checks import (
    COLLECTOR_HEARD,
    COMPARED,
    ERROR,
    LOAD_CHECKS,
    PRIVACY_REVIEW,
    TABLE_EQUALS_LEDGER,
    reconcile_job,
)
from pipelines.orchestration.forgetting import expire_job, sweep_job
from pipelines.orchestration.outbound import call
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.sensors import list_job, load_job, snapshot_job
from pipelines.settings import LakeSettings

CHECKS = {
    dg.AssetCheckKey(dg.AssetKey(list(check.asset)), check.name): check
    for check in (*LOAD_CHECKS, TABLE_EQUALS_LEDGER, *COMPARED, COLLECTOR_HEARD, PRIVACY_REVIEW)
    if check.severity is ERROR or check in {COLLECTOR_HEARD, PRIVACY_REVIEW}
}
UPKEEP = (reconcile_job, sweep_job, expire_job, prune_job)
JOBS = tuple(job.name for job in (load_job, load_range, list_job, snapshot_job, snapshot_range, *UPKEEP))
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
DAILY_HOUR = 7  # UTC
RUNBOOK = "(docs/runbook.md)"


@dataclass
class Told:
    """The news that were posted, as the sensor's cursor keeps them: troubles that go on, and the last summary's day."""

    troubles: dict[str, str] = field(default_factory=dict)
    day: str = ""

    @classmethod
    def read(cls, cursor: str | None) -> Self:
        """Read a cursor; one that is none tells of nothing."""
        try:
            found = orjson.loads(cursor or "{}")
            return cls({str(key): str(text) for key, text in found["troubles"].items()}, str(found["day"]))
        except (orjson.JSONDecodeError, KeyError, AttributeError, TypeError):
            return cls()


@dg.sensor(
    name="alerts",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Posts to ALERT_WEBHOOK_URL what fails, and when it is over; once a day, that all is well.",
)
def alert(context: dg.SensorEvaluationContext, lake: dg.ResourceParam[Lake]) -> dg.SensorResult | dg.SkipReason:
    """Post what is new; it asks for no run, and never fails. What couldn't be posted is posted by a later tick."""
    told = Told.read(context.cursor)
    try:
        settings = lake.settings()
        said = [why for why in _post_news(context.instance, settings, lake, told) if why]
    except Exception as error:  # noqa: BLE001  whatever it is, the next tick tries again
        said = [f"{type(error).__name__}: {first_line(error)}"]
    reason = said[0] if said else f"{len(told.troubles) or 'no'} troubles"
    return dg.SensorResult(skip_reason=reason, cursor=orjson.dumps(told.__dict__).decode())


alerts = [alert] if os.environ.get("ALERT_WEBHOOK_URL") else []


def _post_news(instance: dg.DagsterInstance, settings: LakeSettings, lake: Lake, told: Told) -> Iterator[str | None]:
    """Post what changed since it was told, and note it; yield why a post failed, if it did."""
    url = settings.alert_webhook_url.get_secret_value() if settings.alert_webhook_url else ""

    def post(text: str) -> str | None:
        return call(str(url), "ALERT_WEBHOOK_URL", {"text": text, "content": text})  # Slack's word, and Discord's

    troubles = dict(_troubles(instance, settings, told))
    for key in troubles.keys() - told.troubles.keys():
        yield (failed := post(f"wpp-lake: {troubles[key]}"))
        if not failed:
            told.troubles[key] = troubles[key]
    for key in told.troubles.keys() - troubles.keys():
        yield (failed := post(f"wpp-lake: over: {told.troubles[key]}"))
        if not failed:
            del told.troubles[key]
    now = datetime.now(UTC)
    if not troubles and now.hour >= DAILY_HOUR and told.day != now.date().isoformat():
        with lake.database() as conn:
            yield (failed := post(f"wpp-lake: all is well: {_summary(conn, settings)}"))
        if not failed:
            told.day = now.date().isoformat()


def _troubles(instance: dg.DagsterInstance, settings: LakeSettings, told: Told) -> Iterator[tuple[str, str]]:
    """Yield what fails now, each by a name that stays while it goes on. What is being evaluated stays as it was."""
    console = settings.wpp_lake_dagster_url or ""
    for job in JOBS:
        for run in instance.get_runs(dg.RunsFilter(job_name=job, statuses=ENDED), limit=1):
            if run.status == dg.DagsterRunStatus.FAILURE:
                yield (
                    f"run {job}",
                    f"the last run of {job} failed; its page says why: {console}/runs/{run.run_id} {RUNBOOK}",
                )
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(CHECKS))
    for key, check in CHECKS.items():
        name, last = f"check {check.name}", found.get(key)
        if last and last.status == CheckStatus.FAILED:
            where = f"{console}/assets/{'/'.join(check.asset)}?view=checks"
            yield name, f"the check {check.name} fails: {check.passing} {check.remedy}. {where} {RUNBOOK}"
        elif last and last.status == CheckStatus.PLANNED and name in told.troubles:
            yield name, told.troubles[name]


def _summary(conn: Connection, settings: LakeSettings) -> str:
    """Return the day's numbers in one line; one number where what was received is in tables and Parquet."""
    received, rows, parquet, aside = conn.execute(query("checks/summary")).fetchone() or (0, 0, 0, 0)
    told = f"{received:,} received, {rows:,} in tables, {parquet:,} in Parquet"
    if received == rows == parquet:
        told = f"{received:,} received = in tables = in Parquet"
    return "; ".join([told, f"quarantine {aside:,}", *_room(settings)])


def _room(settings: LakeSettings) -> Iterator[str]:
    """Yield how long the disk lasts that is full first, what is free of it where nothing tells that; none elsewhere."""
    found = days_left(settings)
    if days := [days for _, days in found if days is not None]:
        yield "disk for years" if min(days) == MANY_DAYS else f"disk {min(days):,.0f} days"
    elif found:
        yield f"disk {min(disk['free_bytes'] / disk['total_bytes'] for disk, _ in found):.0%} free"
