"""Landing files that wait for their load, as far as cheap listings tell.

Belongs here: the hours that are listed for it. Not: the listing itself (loading.pending), the loads.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

from pipelines.db.connection import Connection
from pipelines.landing.hours import hours_between
from pipelines.landing.zone import LandingFile, LandingZone
from pipelines.loading.pending import noted_hours, pending

RECENT = timedelta(hours=3)  # what every tick of the sensor lists
MOST_NOTED_HOURS = 48  # of a backlog, so that what asks for it stays cheap
LONGEST_WAIT = timedelta(minutes=15)  # of a landing file for its load, which comes within half a minute


class Waiting(NamedTuple):
    """How many landing files wait, None where nothing was listed; when the oldest and the newest of them landed."""

    files: int | None
    since: datetime | None
    newest: datetime | None

    @classmethod
    def of(cls, files: Iterable[LandingFile]) -> Self:
        """Count files."""
        moments = [file.landed_at for file in files]
        return cls(len(moments), min(moments, default=None), max(moments, default=None))


def waiting(conn: Connection, zone: LandingZone, now: datetime) -> Waiting:
    """Return what waits of the recent hours, and of the oldest of those that a listing noted."""
    noted = sorted(noted_hours(conn))[:MOST_NOTED_HOURS]
    hours = sorted({*recent_hours(now), *noted})
    return Waiting.of(file for hour in hours for file in pending(conn, zone, hour))


def recent_hours(now: datetime) -> list[datetime]:
    """Return the recent UTC hours, the running one last."""
    running = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hours_between(running - RECENT, running)
