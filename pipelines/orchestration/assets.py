"""The lake as Dagster assets: landing files, the tables of an hour, the snapshots of a day.

Belongs here: what depends on what, and what a run reports. Not: the work itself (loading, snapshots).
"""

import dataclasses
import warnings
from collections.abc import Iterator
from datetime import date
from typing import Any

import dagster as dg

from pipelines.landing.hours import parse_day, parse_hour
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import load
from pipelines.orchestration import descriptions, orphaned_runs
from pipelines.orchestration.checks import LOAD_CHECKS, RECONCILE, TABLE_EQUALS_LEDGER, load_checks, table_check
from pipelines.orchestration.partitions import DAYS, HOURS
from pipelines.orchestration.resources import Lake
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.files import Snapshot
from pipelines.snapshots.payload_fields import new_paths, write_catalogue
from pipelines.snapshots.schemas import EVENTS, FIELDS, SCHEMAS
from pipelines.snapshots.stale import tables_of
from pipelines.snapshots.write import write_snapshots

ONLY_STALE = "wpp-lake/only-stale"  # the tag of a run that leaves the files that are current
NO_NEW_PATHS = "no_new_paths"
MOST_NAMED = 50  # new paths of a type
with warnings.catch_warnings():
    warnings.simplefilter("ignore", dg.BetaWarning)
    # Of the running date not all hours have begun.
    HOURS_OF_A_DATE = dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
TABLES = ("whatsapp_groups", "whatsapp_participants", "whatsapp_events")


landing_files = dg.AssetSpec(
    ["landing", "files"],
    partitions_def=HOURS,
    group_name="landing",
    **descriptions.LANDING_FILES,
)


@dg.multi_asset(
    specs=[dg.AssetSpec(["tables", table], deps=[landing_files], **descriptions.of_table(table)) for table in TABLES],
    check_specs=[check.spec for check in LOAD_CHECKS],
    partitions_def=HOURS,
    group_name="tables",
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def tables(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Load the landing files of these hours that the ledger doesn't know."""
    orphaned_runs.tag_run_with_process(context.instance, context.run.run_id)
    hours = [parse_hour(key) for key in context.partition_keys]
    with lake.database() as conn:
        counts = load(conn, lake.landing_zone(), hours, context.run.run_id)
        checks = list(load_checks(conn))
    for key in context.selected_asset_keys:
        yield dg.MaterializeResult(asset_key=key, metadata=dataclasses.asdict(counts))
    yield from checks


def _snapshot(table: str, source: list[str]) -> dg.AssetSpec:
    key, deps = ["snapshots", table], [dg.AssetDep(source, partition_mapping=HOURS_OF_A_DATE)]
    return dg.AssetSpec(key, deps=deps, skippable=True, **descriptions.of_snapshot(table))


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
    partitions_def=DAYS,
    group_name="snapshots",
)
def snapshots(
    context: dg.AssetExecutionContext, lake: dg.ResourceParam[Lake]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Write a UTC date's Parquet files: its events with their fields, and today every group, person and address."""
    orphaned_runs.tag_run_with_process(context.instance, context.run.run_id)
    day, only_stale = parse_day(context.partition_key), ONLY_STALE in context.run.tags
    settings, store, asked = lake.settings(), lake.snapshot_store(), tables_of(day)
    with lake.database() as conn:
        verdict = table_check(conn)
    yield verdict
    if not verdict.passed:
        raise dg.Failure(f"Not written: the tables aren't what the ledger says. {RECONCILE}", metadata=verdict.metadata)
    for written in write_snapshots(settings, store, day, asked, only_stale=only_stale):
        yield _materialised(context, store, written)
    if skipped := set(SCHEMAS) - set(asked):
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
