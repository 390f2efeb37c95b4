"""The asset checks: what of the lake isn't as it must be, how much that matters, and what mends it.

Belongs here: which checks there are, on which asset, and from which numbers. Not: the comparisons themselves (audit,
loading), when they run (schedules). The cheap ones are part of each load and snapshot; the whole lake has its own job.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import dagster as dg
from dagster._core.storage.asset_check_execution_record import COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
from pydantic import Field

from pipelines.audit.reconcile import RESTORE, Report, reconcile
from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.hours import parse_day, today
from pipelines.loading.alarms import count_alarms
from pipelines.orchestration.failures import explained
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.run_heartbeats import beating

FILES, EVENTS, PARQUET = (("landing", "files"), ("tables", "whatsapp_events"), ("snapshots", "whatsapp_events"))
ERROR, WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN
UNDECRYPTED_SHARE, UNDECRYPTED_SINCE = 0.2, timedelta(days=1)
HOUR = timedelta(hours=1)
REVIEW_WARNS_DAYS = 30
RECONCILE = "`wpp-lake reconcile` names what differs, and the command that mends it"


class Check(NamedTuple):
    """One check: on which asset, what passing means, how severe a failure is, and what mends it."""

    asset: tuple[str, str]
    name: str
    passing: str
    severity: dg.AssetCheckSeverity
    remedy: str

    @property
    def spec(self) -> dg.AssetCheckSpec:
        """The check as Dagster shows it before its first result."""
        return dg.AssetCheckSpec(self.name, asset=list(self.asset), description=self.passing)

    def result(self, numbers: Mapping[str, int | float | str], *, passed: bool) -> dg.AssetCheckResult:
        """Return a result with its numbers, and with the remedy where there is something to mend."""
        metadata = {**numbers} if passed else {"remedy": self.remedy, **numbers}
        return dg.AssetCheckResult(
            asset_key=list(self.asset), check_name=self.name, passed=passed, severity=self.severity, metadata=metadata
        )


FILES_AS_LOADED = Check(
    EVENTS, "files_as_loaded", "No landing file is missing or changed since it was loaded.", ERROR, RESTORE
)
NOTHING_IN_QUARANTINE = Check(
    EVENTS, "nothing_in_quarantine", "No line waits in quarantine.", WARN,
    "`wpp-lake quarantine ls` names them; docs/tables.md says what to do for each reason",
)  # fmt: skip
FEW_UNDECRYPTED = Check(
    EVENTS, "few_undecrypted", f"At most {UNDECRYPTED_SHARE:.0%} of a day's events are undecrypted.", WARN,
    "Where it goes on, the collector's session has lost its keys: pair it anew (docs/collector.md)",
)  # fmt: skip
COLLECTOR_HEARD = Check(
    EVENTS, "collector_heard", "The newest event is younger than SILENCE_HOURS.", WARN,
    "See whether the collector runs, and whether the receiver refuses it (docs/collector.md)",
)  # fmt: skip
PRIVACY_REVIEW = Check(
    EVENTS, "privacy_review", "More than 30 days are left until PRIVACY_REVIEW_BY.", WARN,
    "Review what the lake keeps of people, as docs/adr/0001 says, and set PRIVACY_REVIEW_BY to the next date",
)  # fmt: skip
TABLE_EQUALS_LEDGER = Check(
    PARQUET, "table_equals_ledger", "The tables have what the ledger says; else no file is written.", ERROR, RECONCILE
)
LOAD_CHECKS = (FILES_AS_LOADED, NOTHING_IN_QUARANTINE, FEW_UNDECRYPTED)
# The checks of the whole lake, each with the kinds of differences that fail it.
COMPARED = {
    Check(FILES, "as_loaded", "The landing zone has what was loaded, unchanged.", ERROR, RECONCILE): (
        "missing", "changed", "unreadable", "files",
    ),
    Check(EVENTS, "adds_up", "The ledger's sums are the tables'; no reference leads nowhere.", ERROR, RECONCILE): (
        "entries", "sums", "references",
    ),
    Check(EVENTS, "as_landed", "The tables have each landed event and no other.", ERROR, RECONCILE): (
        "not_in_tables", "not_landed",
    ),
    Check(PARQUET, "as_its_table", "A file that is current has the rows of its table.", ERROR, RECONCILE): ("parquet",),
}  # fmt: skip


def load_checks(conn: Connection) -> Iterator[dg.AssetCheckResult]:
    """Yield the results of LOAD_CHECKS."""
    files = count_alarms(conn)
    yield FILES_AS_LOADED.result(files._asdict(), passed=not any(files))
    reasons = dict(conn.execute(query("reconcile/open")).fetchall())
    yield NOTHING_IN_QUARANTINE.result(reasons, passed=not reasons)
    since = {"since": datetime.now(UTC) - UNDECRYPTED_SINCE}
    undecrypted, received = conn.execute(query("checks/undecrypted"), since).fetchone() or (0, 0)
    few = undecrypted <= UNDECRYPTED_SHARE * received
    yield FEW_UNDECRYPTED.result({"undecrypted": undecrypted, "received": received}, passed=few)


def table_check(conn: Connection) -> dg.AssetCheckResult:
    """Return the result of TABLE_EQUALS_LEDGER."""
    wrong = dict(conn.execute(query("reconcile/sums"), {}).fetchall())
    return TABLE_EQUALS_LEDGER.result(wrong, passed=not wrong)


def check_tables(conn: Connection) -> dg.AssetCheckResult:
    """Return the result of TABLE_EQUALS_LEDGER; raise dg.Failure, with what differs, where nothing may be written."""
    result = table_check(conn)
    if not result.passed:
        raise not_written(result)
    return result


def not_written(result: dg.AssetCheckResult) -> dg.Failure:
    """Return the failure of a run that writes nothing because TABLE_EQUALS_LEDGER failed."""
    return dg.Failure(f"{RECONCILE}. Nothing is written: the tables aren't what the ledger says", result.metadata)


class Comparison(dg.Config):
    """Which lines and Parquet files are compared; the ledger's sums always are, all of them."""

    full: bool = Field(default=False, description="All of them.")
    since: str | None = Field(
        default=None, description="Those since this UTC date, as 2026-05-21; without it those of the last 7 days."
    )


def of_comparison(*, full: bool) -> dict[str, Any]:
    """Return the run's configuration for a comparison."""
    return {"ops": {whole_lake.node_def.name: {"config": {"full": full}}}}


@dg.multi_asset_check(specs=[check.spec for check in (*COMPARED, COLLECTOR_HEARD, PRIVACY_REVIEW)], can_subset=True)
def whole_lake(
    context: dg.AssetCheckExecutionContext, config: Comparison, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.AssetCheckResult]:
    """Compare landing zone, ledger, tables and Parquet files.

    A run that materialises assets (a backfill, say) selects their checks too: it tells the last results again, for
    without any the checks would show as skipped, and hide what is wrong.
    """
    if context.run.asset_selection:
        yield from _told_again(context)
        return
    with explained(), beating(context.run.run_id), lake.database() as conn:
        since = parse_day(config.since) if config.since else None
        report = reconcile(conn, lake.landing_zone(), lake.snapshot_store(), since, full=config.full)
        (newest,) = conn.execute(query("checks/newest_event")).fetchone() or (None,)
    for difference in report.differences:
        context.log.error("%s", difference)
    hours = (datetime.now(UTC) - newest) / HOUR if newest else 0.0
    results = [_compared(check, kinds, report) for check, kinds in COMPARED.items()]
    results.append(COLLECTOR_HEARD.result({"hours": round(hours, 1)}, passed=hours < lake.settings().silence_hours))
    results.append(_privacy_review(lake.settings().privacy_review_by))
    wanted = {key.name for key in context.selected_asset_check_keys}
    yield from (each for each in results if each.check_name in wanted)


def _told_again(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
    """Yield the last result of each check that is selected, and was ever evaluated."""
    for key in context.selected_asset_check_keys:
        records = context.instance.event_log_storage.get_asset_check_execution_history(
            key, limit=1, status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
        )
        for evaluation in filter(None, (record.evaluation for record in records)):
            yield dg.AssetCheckResult(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=evaluation.passed,
                severity=evaluation.severity,
                metadata=evaluation.metadata,
            )


def _privacy_review(by: date) -> dg.AssetCheckResult:
    """Warn where the date is near; where it is over nothing is kept by mere drift: that is an error."""
    left = (by - today()).days
    check = PRIVACY_REVIEW if left >= 0 else PRIVACY_REVIEW._replace(severity=ERROR)
    return check.result({"by": by.isoformat(), "days_left": left}, passed=left > REVIEW_WARNS_DAYS)


def _compared(check: Check, kinds: tuple[str, ...], report: Report) -> dg.AssetCheckResult:
    found = {kind: report.found[kind] for kind in kinds if report.found[kind]}
    first = [str(each) for each in report.differences if each.kind in kinds]
    return check.result({**report.compared, **found, "first": "\n".join(first)}, passed=not found)


reconcile_job = dg.define_asset_job(
    "reconcile",
    dg.AssetSelection.checks(whole_lake),
    description="Landing zone, ledger, tables and Parquet files compared: the checks have what differs.",
)
