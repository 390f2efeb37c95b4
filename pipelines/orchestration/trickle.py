"""Loads the little that has landed within a sensor's tick, and reports it to Dagster about once a minute.

Belongs here: how much is little, and the events, of no run, that tell of it. Not: when a tick comes and which hours it
looks at (sensors), loading (loading). A run is a process that takes seconds to import what it needs: docs/adr/0034.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.zone import LandingFile, LandingZone
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import load
from pipelines.orchestration import reports
from pipelines.orchestration.cursors import Cursor
from pipelines.orchestration.reports import Event

LOADER = "new_landing_files"  # in the ledger, in the place of a run
# What a tick loads well within the 60 s that Dagster gives it.
FILES, BYTES = 1_000, 4_000_000
REPORTED_EVERY = timedelta(minutes=1)


@dataclass
class Pending:
    """Landing files that wait: how many, how large together and in each hour, and since when the oldest one."""

    hours: Counter[datetime] = field(default_factory=Counter)
    files: int = 0
    size: int = 0
    oldest: datetime | None = None

    @classmethod
    def of(cls, files: Iterable[LandingFile]) -> "Pending":
        """Count files, without keeping them."""
        found = cls()
        for file in files:
            found.hours[file.hour] += file.size
            found.files += 1
            found.size += file.size
            found.oldest = min(found.oldest or file.landed_at, file.landed_at)
        return found

    @property
    def is_little(self) -> bool:
        """Whether there is something, and a tick may load it itself."""
        return 0 < self.files <= FILES and self.size <= BYTES


def load_little(conn: Connection, zone: LandingZone, hours: Iterable[datetime]) -> LoadCounts:
    """Load these hours. Raises whatever a load raises, and QueryCanceled where it would have to wait."""
    conn.execute(query("load/within_a_tick"))
    return load(conn, zone, hours, LOADER)


def report(conn: Connection, since: datetime, waiting: Pending, cursor: Cursor) -> tuple[list[Event], Cursor]:
    """Return what Dagster is to be told of the loads by ticks, and of what waits; and the cursor that knows of it.

    The cursor's `reported` is by the database's clock. `since` is before every hour that such loads may have taken.
    Nothing is told within a minute of the last report.
    """
    now = datetime.now(UTC)
    if cursor.reported and now < cursor.reported + REPORTED_EVERY:
        return [], cursor
    done = reports.loaded(conn, since, now, LOADER, cursor.reported or since)
    if not done and not waiting.files and not cursor.waiting:
        return [], cursor
    observed = reports.landing_files(conn, waiting.files, waiting.oldest)
    (moment,) = conn.execute(query("load/moment")).fetchone() or (now,)
    newest = min(max((each.at for each in done), default=moment), now)  # the database's clock may be ahead
    told = cursor._replace(reported=newest, waiting=waiting.files > 0)
    return [observed, *(reports.of_load(conn, [each.hour for each in done], done) if done else ())], told
