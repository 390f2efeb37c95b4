"""Runs the Dagster jobs in this process, recorded in Dagster's storage like any other run.

Belongs here: which partitions a command's run takes. Not: the command line (cli).
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime

import dagster as dg

from pipelines.errors import WppLakeError, first_line
from pipelines.landing.hours import hour_key
from pipelines.loading.ledger import LoadCounts
from pipelines.orchestration.assets import ONLY_STALE, load_counts
from pipelines.orchestration.definitions import defs
from pipelines.orchestration.partitions import HOURS, PARTITION, range_tags
from pipelines.orchestration.resources import Lake

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}  # the caller says what went wrong


class RunError(WppLakeError):
    """A run could not finish."""


def run_load(hour: datetime | None = None) -> LoadCounts:
    """Load one UTC hour's new files, or everything that the ledger lacks, and return what was done.

    Raises RunError when a file can't be loaded because its hour is no partition, after the others were.
    """
    asked = {hour} if hour else Lake().pending_hours()
    hours = {each for each in asked if HOURS.has_partition_key(hour_key(each))}
    counts = LoadCounts()
    for tags in range_tags(hours):
        counts += load_counts(next(_run("load", tags)))
    if outside := sorted(asked - hours):
        raise RunError(f"not loaded: files of hours that aren't partitions: {', '.join(map(hour_key, outside))}")
    return counts


def run_snapshots(day: date | None = None) -> Iterator[tuple[str, int]]:
    """Write one UTC date's snapshots, or the stale ones, today's among them; yield each file's address and its rows.

    A date that can't be written stops no other: RunError names such dates, and the first one's error, at the end.
    """
    errors: dict[date, Exception] = {}
    for each in [day] if day else Lake().stale_dates():
        try:
            written = list(_run("snapshot", {PARTITION: each.isoformat()} | ({} if day else {ONLY_STALE: "true"})))
        except Exception as error:  # noqa: BLE001  whatever it is, it is told in the end
            errors[each] = error
            continue
        for file in written:
            yield str(file.metadata["dagster/uri"].value), int(str(file.metadata["dagster/partition_row_count"].value))
    if errors:
        first = next(iter(errors.values()))
        dates = ", ".join(map(str, errors))
        raise RunError(f"not written: the snapshots of {dates}: {type(first).__name__}: {first_line(first)}") from first


def _run(job: str, tags: Mapping[str, str]) -> Iterator[dg.AssetMaterialization]:
    """Run a job over the partitions that `tags` name; yield what it materialised. Its own error goes through."""
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_job_def(job).execute_in_process(instance=instance, tags=dict(tags), run_config=QUIET)
    for event in result.get_asset_materialization_events():
        yield event.step_materialization_data.materialization
