"""The days whose snapshots are written: one database per day, with the events received on one UTC date.

Belongs here: what the rows are. Not: the events that they are made of (landings), writing snapshots.
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg

DATE = date(2026, 5, 21)


@dataclass(frozen=True)
class Day:
    """The events of DATE in the database `name`: a number of seeds, `copies` times."""

    name: str
    seeds: int
    copies: int

    @property
    def rows(self) -> int:
        """How many events there are."""
        return self.seeds * self.copies


def make_seeds(database: str) -> None:
    """Make seeds of the events that are loaded, in their place."""
    with psycopg.connect(database) as conn:
        conn.execute(_sql("seeds"))


def make_day(database: str, day: Day) -> None:
    """Make a day's events of a database's seeds."""
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("set session_replication_role = replica")  # whom the rows refer to is there: no need to look
        for copy in range(day.copies):
            conn.execute(_sql("day"), {"date": DATE, "seeds": day.seeds, "copy": copy, "copies": day.copies})
        conn.execute("drop table seeds")
        conn.execute("vacuum analyze")  # the first to read rows would pay for what the server notes in them


def _sql(name: str) -> bytes:
    return Path(__file__).with_name(f"{name}.sql").read_bytes()
