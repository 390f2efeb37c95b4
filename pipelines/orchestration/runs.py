"""Runs the Dagster jobs in this process, recorded in Dagster's storage like any other run.

Belongs here: which partitions a command's run takes. Not: the command line (cli).
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from itertools import filterfalse
from typing import Any

import dagster as dg

from pipelines.errors import WppLakeError, first_line
from pipelines.landing.hours import dates_between, hours_between
from pipelines.loading.ledger import LoadCounts
from pipelines.orchestration import reports
from pipelines.orchestration.assets import ONLY_STALE
from pipelines.orchestration.buttons import load_range, of_dates, of_hours, snapshot_range
from pipelines.orchestration.definitions import defs
from pipelines.orchestration.partitions import (
    DAYS,
    HOURS_TAG,
    PARTITION,
    hours_named,
    is_partition,
    range_tags,
    stretches,
)
from pipelines.orchestration.reports import EVENTS, rows_of
from pipelines.orchestration.resources import Lake

OF_THE_LOCATION = {".dagster/repository": "__repository__@wpp-lake"}  # so that a job's page lists the run
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}  # the caller says what went wrong


class RunError(WppLakeError):
    """A run could not finish."""


def run_load(first: datetime | None = None, last: datetime | None = None) -> LoadCounts:
    """Load a UTC hour's new files, or those of a range of hours, or everything that the ledger lacks.

    Returns the counts of all runs. Raises RunError where one fails, with the remedy if one is known.
    """
    hours = set(hours_between(first, last or first)) if first else Lake().pending_hours()
    if not hours:
        _tell_of_checks()  # the listing may have found what is missing or changed
    counts = LoadCounts()
    for stretch in stretches(filter(is_partition, hours)):
        result = _run("load", range_tags(*stretch))
        counts = sum((_counts(each.metadata) for each in _materialised(result, "tables", EVENTS)), counts)
    for stretch in stretches(filterfalse(is_partition, hours)):
        result = _run(load_range.name, {HOURS_TAG: hours_named(*stretch)}, of_hours(*stretch))
        counts = sum(map(_counts, _outputs(result)), counts)
    return counts


def run_snapshots(first: date | None = None, last: date | None = None) -> Iterator[tuple[str, int]]:
    """Write the snapshots of a UTC date, or of a range of dates, or the stale ones, today's among them.

    Yields each file's address and its number of rows. A date that can't be written stops no other: RunError names such
    dates, and the first one's error, at the end.
    """
    errors: dict[date, Exception] = {}
    for day in dates_between(first, last or first) if first else Lake().stale_dates():
        try:
            written = _snapshot(day, only_stale=first is None)
        except Exception as error:  # noqa: BLE001  whatever it is, it is told in the end
            errors[day] = error
            continue
        yield from written
    if errors:
        first_error = next(iter(errors.values()))
        told = first_line(first_error)
        if not isinstance(first_error, WppLakeError):
            told = f"{type(first_error).__name__}: {told}"
        raise RunError(f"not written: the snapshots of {', '.join(map(str, errors))}: {told}") from first_error


def _tell_of_checks() -> None:
    with dg.DagsterInstance.get() as instance, Lake().database() as conn:
        for evaluation in reports.of_checks(conn):
            instance.report_runless_asset_event(evaluation)


def _snapshot(day: date, *, only_stale: bool) -> list[tuple[str, int]]:
    """Write a date's snapshots, and return each file's address and rows."""
    if not DAYS.has_partition_key(day.isoformat()):
        result = _run(snapshot_range.name, {}, of_dates(day, day, only_stale=only_stale))
        return [file for metadata in _outputs(result) for file in metadata["files"].value.items()]
    result = _run("snapshot", {PARTITION: day.isoformat()} | ({ONLY_STALE: "true"} if only_stale else {}))
    told = [each.metadata for each in _materialised(result, "snapshots")]
    return [(str(each["dagster/uri"].value), rows_of(each)) for each in told if "dagster/uri" in each]


def _run(job: str, tags: Mapping[str, str], config: Mapping[str, Any] | None = None) -> dg.ExecuteInProcessResult:
    """Run a job with these tags. An error that isn't explained goes through."""
    with dg.DagsterInstance.get() as instance:
        try:
            return defs.resolve_job_def(job).execute_in_process(
                instance=instance, tags={**tags, **OF_THE_LOCATION}, run_config={**(config or {}), **QUIET}
            )
        except dg.Failure as failure:
            raise RunError(failure.description or job) from failure


def _materialised(result: dg.ExecuteInProcessResult, *prefix: str) -> Iterator[dg.AssetMaterialization]:
    """Yield what a run materialised of the assets whose key begins so."""
    for event in result.get_asset_materialization_events():
        told = event.step_materialization_data.materialization
        if tuple(told.asset_key.path[: len(prefix)]) == prefix:
            yield told


def _outputs(result: dg.ExecuteInProcessResult) -> Iterator[Mapping[str, Any]]:
    """Yield what a run's ops say of their work."""
    return (each.step_output_data.metadata for each in result.all_events if each.is_successful_output)


def _counts(metadata: Mapping[str, Any]) -> LoadCounts:
    return LoadCounts(*(int(str(metadata[name].value)) for name in LoadCounts.__dataclass_fields__))
