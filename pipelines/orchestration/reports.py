"""The numbers that a load and a snapshot report with what they materialise, and what is observed of landing files.

Belongs here: metadata, by asset and partition, without content and without anybody's name. Not: the work that is
reported (loading, snapshots), when it is told (assets, trickle).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple

import dagster as dg

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.figures import lake
from pipelines.landing.hours import hour_key
from pipelines.loading.ledger import LoadCounts
from pipelines.orchestration.checks import load_checks
from pipelines.orchestration.partitions import is_partition
from pipelines.snapshots.files import Snapshot
from receiver.landing import hour_prefix

TABLES = ("whatsapp_groups", "whatsapp_participants", "whatsapp_events")
EVENTS = TABLES[-1]
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVER = datetime.min.replace(tzinfo=UTC)

Metadata = dict[str, Any]
Event = dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckEvaluation


class Loaded(NamedTuple):
    """One UTC hour of what was loaded: counts, and how many seconds after it landed a file was loaded at most."""

    hour: datetime
    counts: LoadCounts
    delay_seconds: float
    at: datetime


def loaded(conn: Connection, first: datetime, last: datetime, loader: str, since: datetime = EVER) -> list[Loaded]:
    """Return what a loader, a run's id say, loaded of these hours since a moment, by hour."""
    asked = {"first": hour_prefix(first), "end": hour_prefix(last + HOUR), "loader": loader, "since": since}
    rows = conn.execute(query("reports/loaded"), asked).fetchall()
    return [Loaded(hour.astimezone(UTC), LoadCounts(*counts), delay, at) for hour, *counts, delay, at in rows]


def of_tables(conn: Connection, hours: Sequence[datetime], done: Iterable[Loaded]) -> dict[str, dict[str, Metadata]]:
    """Return the metadata of each table's partitions of these hours, by table and key of the hour."""
    by_hour = {each.hour: each for each in done}
    rows = lake.known_rows(conn)
    (newest,) = conn.execute(query("checks/newest_event")).fetchone() or (None,)
    open_lines = sum(number for _, number in conn.execute(query("reconcile/open")))
    shared: Metadata = {"quarantine_open": open_lines, "types": types(conn, min(hours), max(hours) + HOUR)}
    if newest:
        shared["newest_event"] = dg.MetadataValue.timestamp(newest)
    found: dict[str, dict[str, Metadata]] = {table: {} for table in TABLES}
    for hour, *counted in conn.execute(query("reports/hours"), {"hours": list(hours)}):
        here = by_hour.get(hour)
        for table, partition_rows in zip((EVENTS, *TABLES[:2]), counted, strict=True):
            found[table][hour_key(hour.astimezone(UTC))] = {
                "dagster/row_count": rows[table],
                "dagster/partition_row_count": partition_rows,
            }
        found[EVENTS][hour_key(hour.astimezone(UTC))] |= {
            **asdict(here.counts if here else LoadCounts()),
            **({"delay_seconds": round(here.delay_seconds, 3)} if here else {}),
            **shared,
        }
    return found


def of_load(conn: Connection, hours: Sequence[datetime], done: Sequence[Loaded]) -> Iterator[Event]:
    """Yield what tells Dagster of a load that is no run of its assets: hours that are partitions, and the checks."""
    inside = [hour for hour in hours if is_partition(hour)]
    for table, partitions in (of_tables(conn, inside, done) if inside else {}).items():
        for partition, metadata in partitions.items():
            yield dg.AssetMaterialization(["tables", table], partition=partition, metadata=metadata)
    yield from of_checks(conn)


def of_checks(conn: Connection) -> Iterator[dg.AssetCheckEvaluation]:
    """Yield the results of a load's checks, for what is no run of its assets."""
    return map(evaluation, load_checks(conn))


def evaluation(result: dg.AssetCheckResult) -> dg.AssetCheckEvaluation:
    """Return a check's result as what a run that doesn't select the check tells of it."""
    assert result.asset_key is not None and result.check_name is not None  # noqa: S101, PT018  its spec gave both
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        severity=result.severity,
        metadata=result.metadata,
    )


def of_snapshot(file: Snapshot, uri: str, rows: int | None) -> Metadata:
    """Return the metadata of a file that was written; `rows` are those of all dates, None of a state, which has one."""
    found: Metadata = {
        "dagster/uri": uri,
        "bytes": file.bytes,
        "dagster/row_count": file.rows if rows is None else rows,
    }
    if rows is not None:
        found["dagster/partition_row_count"] = file.rows
    if file.received_to:
        newest = datetime.fromisoformat(file.received_to)
        found |= {"newest_event": dg.MetadataValue.timestamp(newest), "behind_seconds": _seconds_since(newest)}
    return found


def rows_of(metadata: Mapping[str, Any]) -> int:
    """Return the number of rows that a file's metadata tells."""
    told = metadata.get("dagster/partition_row_count", metadata.get("dagster/row_count"))
    return int(getattr(told, "value", told))


def types(conn: Connection, first: datetime, end: datetime) -> dg.MarkdownMetadataValue:
    """Return a preview of the events received from one moment until another: their types, and how many of each."""
    found = conn.execute(query("reports/types"), {"first": first, "end": end}).fetchall()
    lines = (f"| {kind.replace('|', '&#124;')} | {number:,} |" for kind, number in found)
    return dg.MetadataValue.md("\n".join(("| type | events |", "|---|---:|", *lines)) if found else "no events")


def types_of_date(conn: Connection, day: date) -> dg.MarkdownMetadataValue:
    """Return the same preview of a UTC date."""
    first = datetime.combine(day, time(), UTC)
    return types(conn, first, first + DAY)


def landing_files(conn: Connection, waiting: int, oldest: datetime | None) -> dg.AssetObservation:
    """Return what is observed of landing files: what landed within a day and was loaded, and what waits for a load."""
    since = datetime.now(UTC) - DAY
    files, lines, size = conn.execute(query("reports/landed"), {"first": hour_prefix(since)}).fetchone() or (0, 0, 0)
    numbers: Mapping[str, float] = {
        "files": files,
        "lines": lines,
        "bytes": size,
        "pending": waiting,
        "oldest_pending_seconds": _seconds_since(oldest) if oldest else 0.0,
    }
    return dg.AssetObservation(["landing", "files"], metadata={**numbers})


def _seconds_since(moment: datetime) -> float:
    return round((datetime.now(UTC) - moment).total_seconds(), 1)
