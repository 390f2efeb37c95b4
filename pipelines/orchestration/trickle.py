"""Loads the little that has landed within a sensor's tick, and reports it to Dagster about once a minute.

Belongs here: how much is little, and the events, of no run, that tell of it. Not: when a tick comes and which hours it
looks at (sensors), loading (loading). A run is a process that takes seconds to import what it needs: docs/adr/0034.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.hours import hour_key
from pipelines.landing.zone import LandingFile, LandingZone
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import load
from pipelines.orchestration.assets import TABLES
from pipelines.orchestration.checks import load_checks
from receiver.landing import hour_prefix

LOADER = "new_landing_files"  # in the ledger, in the place of a run
# What a tick loads well within the 60 s that Dagster gives it.
FILES, BYTES = 1_000, 4_000_000
REPORTED_EVERY = timedelta(minutes=1)

Event = dg.AssetMaterialization | dg.AssetCheckEvaluation


@dataclass
class Pending:
    """Landing files that wait: how many, how large together, and in which hours."""

    hours: set[datetime] = field(default_factory=set)
    files: int = 0
    size: int = 0

    @classmethod
    def of(cls, files: Iterable[LandingFile]) -> "Pending":
        """Count files, without keeping them."""
        found = cls()
        for file in files:
            found.hours.add(file.hour)
            found.files += 1
            found.size += file.size
        return found

    @property
    def is_little(self) -> bool:
        """Whether there is something, and a tick may load it itself."""
        return 0 < self.files <= FILES and self.size <= BYTES


def load_little(conn: Connection, zone: LandingZone, hours: Iterable[datetime]) -> LoadCounts:
    """Load these hours. Raises whatever a load raises, and QueryCanceled where it would have to wait."""
    conn.execute(query("load/within_a_tick"))
    return load(conn, zone, hours, LOADER)


def report(conn: Connection, since: datetime, reported: datetime | None) -> tuple[list[Event], datetime | None]:
    """Return what Dagster is to be told of the loads by ticks, and up to when they are told then.

    `reported`, and the moment that is returned, are by the database's clock. `since` is before every hour that such
    loads may have taken. Nothing is told within a minute of the last report.
    """
    if reported and datetime.now(UTC) < reported + REPORTED_EVERY:
        return [], reported
    recent = {"first": hour_prefix(since), "loader": LOADER, "told": reported or since}
    hours = conn.execute(query("load/by_ticks"), recent).fetchall()
    if not hours:
        return [], reported
    newest = min(max(at for *_, at in hours), datetime.now(UTC))  # the database's clock may be ahead
    return [*_materialisations(hours), *_evaluations(conn)], newest


def _materialisations(hours: Sequence[tuple[Any, ...]]) -> Iterator[dg.AssetMaterialization]:
    for hour, *counts, _ in hours:
        for table in TABLES:
            yield dg.AssetMaterialization(
                ["tables", table],
                partition=hour_key(hour.astimezone(UTC)),
                metadata=asdict(LoadCounts(*counts)),
            )


def _evaluations(conn: Connection) -> Iterator[dg.AssetCheckEvaluation]:
    for each in load_checks(conn):
        assert each.asset_key is not None and each.check_name is not None  # noqa: S101, PT018  its spec gave both
        yield dg.AssetCheckEvaluation(
            asset_key=each.asset_key,
            check_name=each.check_name,
            passed=each.passed,
            severity=each.severity,
            metadata=each.metadata,
        )
