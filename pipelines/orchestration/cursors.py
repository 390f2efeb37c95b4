"""A sensor's cursor: moments, of which one in the future counts as none, for a clock once was ahead.

Belongs here: reading and writing a cursor. Not: what is done since its moments (sensors, trickle).
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Self

CLOCKS_DIFFER_BY = timedelta(minutes=1)
NEVER = datetime.min.replace(tzinfo=UTC)
WAITING = "waiting"


class Cursor(NamedTuple):
    """When a sensor last did its work, up to when Dagster was told of loads by ticks, and whether files waited then."""

    since: datetime | None = None
    reported: datetime | None = None
    waiting: bool = False

    @classmethod
    def read(cls, text: str | None, now: datetime) -> Self:
        """Read a cursor; None for each moment that it lacks, that is no time, or is in the future."""
        words = [*(text or "").split(), "", ""]
        since, reported = (past(_moment(word), now) for word in words[:2])
        return cls(since, reported, WAITING in words[2:])

    def __str__(self) -> str:
        moments = (self.since or NEVER, self.reported) if self.reported else (self.since,)
        return " ".join([*(moment.isoformat() for moment in moments if moment), *([WAITING] if self.waiting else [])])


def past(moment: datetime | None, now: datetime) -> datetime | None:
    """Return a moment, but None for one in the future."""
    return min(moment, now) if moment and moment < now + CLOCKS_DIFFER_BY else None


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else None
