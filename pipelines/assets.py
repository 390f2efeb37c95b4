"""The lake as Dagster assets: landing files, the tables of an hour, the snapshots of a day.

Belongs here: what depends on what, and what a run reports. Not: the work itself (loading, snapshots).
"""

import dataclasses
import warnings
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import dagster as dg
import psycopg

from pipelines import run_processes
from pipelines.landing_zone import LandingZone
from pipelines.loading import LoadCounts, load
from pipelines.migrations import check_schema
from pipelines.partitions import DAYS, HOURS, parse_day, parse_hour
from pipelines.payload_fields import new_paths, write_catalogue
from pipelines.pending import list_everything, noted_hours
from pipelines.queries import Connection
from pipelines.schemas import SCHEMAS
from pipelines.settings import LakeSettings
from pipelines.snapshot_files import Snapshot
from pipelines.snapshots import (
    EVENTS,
    FIELDS,
    SnapshotStore,
    forget_missing,
    stale_dates,
    tables_of,
    write_snapshots,
)

ONLY_STALE = "wpp-lake/only-stale"  # the tag of a run that leaves the files that are current
NO_NEW_PATHS = "no_new_paths"
MOST_NAMED = 50  # new paths of a type
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)
    # Of the running date not all hours have begun.
    HOURS_OF_A_DATE = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
TABLES = ("whatsapp_groups", "whatsapp_participants", "whatsapp_events")


class Lake:
    """The lake's parts, as the environment names them; read when a run starts."""

    def settings(self) -> LakeSettings:
        """Read the settings. Raises SettingsError."""
        return LakeSettings.from_environment()

    def landing_zone(self) -> LandingZone:
        """Open the landing zone."""
        return LandingZone(self.settings())

    def snapshot_store(self) -> SnapshotStore:
        """Open the snapshot bucket."""
        return SnapshotStore(self.settings())

    def database(self) -> Connection:
        """Connect to the lake's database, in autocommit mode. Raises SchemaError where the schema is another."""
        conn = psycopg.connect(self.settings().conninfo, autocommit=True)
        try:
            check_schema(conn)
        except BaseException:
            conn.close()
            raise
        return conn

    def pending_hours(self) -> set[datetime]:
        """List the whole landing zone, and return the hours that have files which the ledger doesn't know."""
        with self.database() as conn:
            list_everything(conn, self.landing_zone())
            return noted_hours(conn)

    def stale_dates(self, *, listed: bool = True) -> list[date]:
        """Return the dates whose snapshots are stale, today among them; `listed`: or aren't in the bucket any more."""
        with self.database() as conn:
            if listed:
                forget_missing(conn, self.snapshot_store())
            return stale_dates(conn)


landing_files = dg.AssetSpec(
    ["landing", "files"],
    description="The landed JSON-lines files, one prefix an hour of receipt. The receiver writes them.",
    partitions_def=HOURS,
    group_name="landing",
    kinds={"s3", "json"},
)


@dg.multi_asset(
    specs=[dg.AssetSpec(["tables", table], deps=[landing_files], kinds={"postgres"}) for table in TABLES],
    partitions_def=HOURS,
    group_name="tables",
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def tables(context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]) -> Iterator[dg.MaterializeResult[Any]]:
    """Load the landing files of these hours that the ledger doesn't know."""
    run_processes.tell(context.instance, context.run.run_id)
    hours = [parse_hour(key) for key in context.partition_keys]
    with lake.database() as conn:
        counts = load(conn, lake.landing_zone(), hours, context.run.run_id)
    for key in context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key=key, metadata=dataclasses.asdict(counts))


def _snapshot(table: str, source: list[str], description: str | None = None) -> dg.AssetSpec:
    key, deps = ["snapshots", table], [dg.AssetDep(source, partition_mapping=HOURS_OF_A_DATE)]
    return dg.AssetSpec(key, deps=deps, description=description, kinds={"parquet"}, skippable=True)


@dg.multi_asset(
    specs=[
        *(_snapshot(table, ["tables", table if table in TABLES else "whatsapp_participants"]) for table in SCHEMAS),
        _snapshot(
            FIELDS, ["snapshots", EVENTS], "For each event type, every path seen in the payloads of the date's events."
        ),
    ],
    # Evaluated by every run, also where the file is left as it is: else it would show as skipped, and hide the warning.
    check_specs=[
        dg.AssetCheckSpec(NO_NEW_PATHS, asset=["snapshots", FIELDS], description="No path is seen for the first time.")
    ],
    partitions_def=DAYS,
    group_name="snapshots",
)
def snapshots(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Write a UTC date's Parquet files: its events with their fields, and today every group, person and address."""
    run_processes.tell(context.instance, context.run.run_id)
    day, only_stale = parse_day(context.partition_key), ONLY_STALE in context.run.tags
    settings, store = lake.settings(), lake.snapshot_store()
    for written in write_snapshots(settings, store, day, only_stale=only_stale):
        yield _materialised(context, store, written)
    if skipped := set(SCHEMAS) - set(tables_of(day)):
        context.log.info("a past date's state is gone: %s not written", ", ".join(sorted(skipped)))
    if catalogue := write_catalogue(settings, store, day, only_stale=only_stale):
        yield _materialised(context, store, catalogue)
    yield _new_paths_check(context, store, day)


def _materialised(
    context: dg.AssetExecutionContext, store: SnapshotStore, written: Snapshot
) -> dg.MaterializeResult[Any]:
    uri = f"s3://{store.bucket}/{written.key}"
    context.log.info("%s: %d rows", uri, written.rows)
    return dg.MaterializeResult(
        asset_key=["snapshots", written.table],
        metadata={"dagster/uri": uri, "dagster/partition_row_count": written.rows},
    )


def _new_paths_check(context: dg.AssetExecutionContext, store: SnapshotStore, day: date) -> dg.AssetCheckResult:
    """Warn of payload paths that no earlier date's events of the type had."""
    new = new_paths(store, day)
    named = {kind: paths[:MOST_NAMED] for kind, paths in new.items()}
    for kind, paths in named.items():
        context.log.warning("%s: %d new payload paths: %s", kind, len(new[kind]), ", ".join(paths))
    return dg.AssetCheckResult(
        check_name=NO_NEW_PATHS,
        asset_key=["snapshots", FIELDS],
        passed=not new,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"date": day.isoformat(), "new_paths": sum(map(len, new.values())), "by_type": named},
    )


def load_counts(materialization: dg.AssetMaterialization) -> LoadCounts:
    """Return what a run of the load did, from what it reported with a table."""
    metadata = materialization.metadata
    return LoadCounts(*(int(str(metadata[field.name].value)) for field in dataclasses.fields(LoadCounts)))
