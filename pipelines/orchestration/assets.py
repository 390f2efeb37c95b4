"""The lake as Dagster assets: landing files, the tables of an hour, the snapshots of a date and of now.

Belongs here: what depends on what, and what a run does for its partitions. Not: the work itself (loading, snapshots),
the numbers that it reports (reports).
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg

from pipelines.db.connection import Connection
from pipelines.landing.hours import parse_day, parse_hour, today
from pipelines.loading.load import load
from pipelines.loading.pending import noted_hours
from pipelines.orchestration import descriptions, reports
from pipelines.orchestration.checks import LOAD_CHECKS, TABLE_EQUALS_LEDGER, load_checks, not_written, table_check
from pipelines.orchestration.failures import explained
from pipelines.orchestration.partitions import DAYS, HOURS
from pipelines.orchestration.reports import TABLES
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.run_heartbeats import beating
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.files import Snapshot, total_rows
from pipelines.snapshots.payload_fields import new_paths, write_catalogue
from pipelines.snapshots.schemas import EVENTS, FIELDS, SCHEMAS
from pipelines.snapshots.stale import is_empty, tables_of
from pipelines.snapshots.write import write_snapshots

ONLY_STALE = "wpp-lake/only-stale"  # the tag of a run that leaves the files that are current
NO_NEW_PATHS = "no_new_paths"
STATE = tuple(table for table in SCHEMAS if table != EVENTS)  # a file of these shows all rows, as they are now
MOST_NAMED = 50  # new paths of a type
NO_FILE = "no events were received on this date: there is no file"
MOST_PARTITIONS = 24  # more are several runs of a backfill, for several workers
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)
    # Of the running date not all hours have begun, of the first one not all are partitions.
    HOURS_OF_A_DATE = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)


# Not partitioned: nobody materialises it, so that an hour of it would be missing for ever.
landing_files = dg.AssetSpec(["landing", "files"], group_name="landing", **descriptions.LANDING_FILES)


@dg.multi_asset(
    specs=[dg.AssetSpec(["tables", table], deps=[landing_files], **descriptions.of_table(table)) for table in TABLES],
    check_specs=[check.spec for check in LOAD_CHECKS],
    partitions_def=HOURS,
    group_name="tables",
    backfill_policy=dg.BackfillPolicy.multi_run(MOST_PARTITIONS),
)
def tables(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Load the landing files of these hours that the ledger doesn't know."""
    hours = sorted(map(parse_hour, context.partition_keys))
    with explained(), beating(context.run.run_id), lake.database() as conn:
        load(conn, lake.landing_zone(), hours, context.run.run_id)
        done = reports.loaded(conn, hours[0], hours[-1], context.run.run_id)
        metadata, checks = reports.of_tables(conn, hours, done), list(load_checks(conn))
        if not noted_hours(conn):  # else a tick of the sensor tells what waits
            context.log_event(reports.landing_files(conn, 0, None))
    for key in context.selected_asset_keys:
        for partition, numbers in metadata[key.path[-1]].items():
            context.add_asset_metadata(numbers, key, partition)
        yield dg.MaterializeResult(asset_key=key)
    yield from checks


def _snapshot(table: str, source: list[str]) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["snapshots", table],
        deps=[dg.AssetDep(source, partition_mapping=HOURS_OF_A_DATE if table == EVENTS else None)],
        skippable=True,
        # A state has no past dates: they couldn't be filled.
        partitions_def=None if table in STATE else DAYS,
        **descriptions.of_snapshot(table),
    )


@dg.multi_asset(
    specs=[
        *(_snapshot(table, ["tables", table if table in TABLES else "whatsapp_participants"]) for table in SCHEMAS),
        _snapshot(FIELDS, ["snapshots", EVENTS]),
    ],
    # Evaluated by every run, also where the file is left as it is: else it would show as skipped, and hide the warning.
    check_specs=[
        dg.AssetCheckSpec(NO_NEW_PATHS, asset=["snapshots", FIELDS], description="No path is seen for the first time."),
        TABLE_EQUALS_LEDGER.spec,
    ],
    can_subset=True,
    group_name="snapshots",
    backfill_policy=dg.BackfillPolicy.multi_run(MOST_PARTITIONS),
)
def snapshots(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Write these UTC dates' Parquet files: their events with the fields, and today every group, person and address."""
    has_dates = context.has_partition_key or context.has_partition_key_range
    days = sorted(map(parse_day, context.partition_keys)) if has_dates else [today()]
    wanted, written = {key.path[-1] for key in context.selected_asset_keys}, set[str]()
    checks = {key.name for key in context.selected_asset_check_keys}
    with explained(), beating(context.run.run_id), lake.database() as conn:
        if TABLE_EQUALS_LEDGER.name in checks:
            yield (verdict := table_check(conn))
            if not verdict.passed:
                raise not_written(verdict)
        for number, day in enumerate(days, 1):
            for table, metadata in write_date(conn, lake, day, wanted, only_stale=ONLY_STALE in context.run.tags):
                context.add_asset_metadata(metadata, ["snapshots", table], None if table in STATE else day.isoformat())
                written.add(table)
            context.log.info("%s: %d of %d dates", day, number, len(days))
        for table in filter(written.__contains__, (*SCHEMAS, FIELDS)):  # the catalogue after its events
            yield dg.MaterializeResult(asset_key=["snapshots", table])
        if NO_NEW_PATHS in checks:
            yield _new_paths_check(context, lake.snapshot_store(), days)


def write_date(
    conn: Connection, lake: Lake, day: date, wanted: Iterable[str], *, only_stale: bool = False
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Write a UTC date's files, or the stale ones, and yield each one's table and metadata as it is there.

    A past date has its events and their fields alone, and no file where there were no events.
    """
    settings, store, tables = (
        lake.settings(),
        lake.snapshot_store(),
        [*filter(set(wanted).__contains__, tables_of(day))],
    )
    if is_empty(conn, day) and day != today():
        yield from (
            (table, {"dagster/partition_row_count": 0, "file": NO_FILE}) for table in wanted if table not in STATE
        )
        return

    def files() -> Iterator[Snapshot | None]:
        if tables:
            yield from write_snapshots(settings, store, day, tables, only_stale=only_stale)
        if FIELDS in wanted:
            yield write_catalogue(settings, store, day, only_stale=only_stale)

    for file in filter(None, files()):
        rows = None if file.table in STATE else total_rows(conn, file.table)
        metadata = reports.of_snapshot(file, store.uri(file.key), rows)
        yield file.table, metadata | ({"types": reports.types_of_date(conn, day)} if file.table == EVENTS else {})


def _new_paths_check(
    context: dg.AssetExecutionContext, store: SnapshotStore, days: Sequence[date]
) -> dg.AssetCheckResult:
    """Warn of payload paths that no earlier date's events of the type had."""
    new: dict[str, list[str]] = {}
    for day in days:
        for kind, paths in new_paths(store, day).items():
            new[kind] = sorted({*new.get(kind, ()), *paths})
    named = {kind: paths[:MOST_NAMED] for kind, paths in new.items()}
    for kind, paths in named.items():
        context.log.warning("%s: %d new payload paths: %s", kind, len(new[kind]), ", ".join(paths))
    dates = days[0].isoformat() if len(days) == 1 else f"{days[0]} to {days[-1]}"
    return dg.AssetCheckResult(
        check_name=NO_NEW_PATHS,
        asset_key=["snapshots", FIELDS],
        passed=not new,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"date": dates, "new_paths": sum(map(len, new.values())), "by_type": named},
    )
