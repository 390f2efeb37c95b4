"""The lake as its database knows it: the newest event, lateness, rows, quarantine, snapshots.

Belongs here: one set of queries, and what their answers mean. Not: what waits in the landing zone (waiting), Dagster's
runs (runs).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

import psycopg

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.hours import today
from pipelines.landing.zone import LandingFile, hour_of
from pipelines.loading.alarms import AlarmCounts, count_alarms
from pipelines.settings import LakeSettings
from receiver.landing import hour_prefix

REBUILD = "rebuild"  # the ledger's run_id of what a rebuild loaded: late by as much as the lake is old
OPEN = "open"


class NewestFile(NamedTuple):
    """The newest landing file that is loaded: when it landed, and how much later it was loaded.

    `delay` is None of one that a rebuild loaded: that says nothing of how late loads are.
    """

    landed_at: datetime
    delay: timedelta | None


class Quarantined(NamedTuple):
    """How many entries of the quarantine have this state and reason."""

    state: str
    reason: str
    entries: int


class SnapshotFile(NamedTuple):
    """A table's snapshot of its newest UTC date, as the database knows it."""

    table: str
    date: date
    rows: int
    bytes: int
    written_at: datetime


@dataclass(frozen=True)
class Figures:
    """The lake at one moment.

    `received_at` is when the newest event in the tables was first received; `stale_since`, since when the oldest change
    of the events' table waits for its snapshot; both None where there is none.
    """

    received_at: datetime | None
    newest_file: NewestFile | None
    alarms: AlarmCounts
    quarantine: tuple[Quarantined, ...]
    snapshots: tuple[SnapshotFile, ...]
    stale_since: datetime | None


def connect_quickly(settings: LakeSettings) -> Connection:
    """Connect to the lake's database; neither that nor a question over it takes longer than seconds."""
    conn = psycopg.connect(settings.conninfo, autocommit=True, connect_timeout=2)
    conn.execute(query("figures/quickly"))
    return conn


def figures(conn: Connection) -> Figures:
    """Ask for everything but the numbers of rows."""
    return Figures(
        received_at=_moment(conn, "checks/newest_event"),
        newest_file=_newest_file(conn),
        alarms=count_alarms(conn),
        quarantine=tuple(Quarantined(*found) for found in conn.execute(query("figures/quarantine"))),
        snapshots=tuple(SnapshotFile(*found) for found in conn.execute(query("figures/snapshots"))),
        stale_since=_moment(conn, "figures/stale_since", today=today()),
    )


def rows(conn: Connection) -> dict[str, int]:
    """Count the rows of the tables, all of them."""
    return dict(conn.execute(query("figures/rows")).fetchall())


def known_rows(conn: Connection) -> dict[str, int]:
    """Return the same numbers for who asks often: events of past dates are counted in their current Parquet files.

    It takes long only where many events are in no current snapshot yet.
    """
    return dict(conn.execute(query("figures/known_rows")).fetchall())


def noted_since(conn: Connection) -> datetime | None:
    """Return when the hour was noted that has waited longest for its load."""
    return _moment(conn, "figures/waiting_hours")


def _newest_file(conn: Connection) -> NewestFile | None:
    before = {"before": hour_prefix(datetime.now(UTC) + timedelta(hours=1))}
    for key, loaded_at, run_id in conn.execute(query("figures/newest_file"), before):
        if hour := hour_of(key):
            landed_at = LandingFile(key, hour, 0, None).landed_at
            return NewestFile(landed_at, None if run_id == REBUILD else loaded_at - landed_at)
    return None


def _moment(conn: Connection, name: str, **values: object) -> datetime | None:
    (moment,) = conn.execute(query(name), values).fetchone() or (None,)
    return moment
