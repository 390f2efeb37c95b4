"""The ledger of snapshots: which revision each date's file of a table shows, so that nobody has to ask the bucket.

Belongs here: the table snapshot_files, and the lock under which a file is put and noted. Not: writing files (snapshots,
payload_fields).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date

from pipelines.db.connection import Connection, connect
from pipelines.db.queries import query
from pipelines.settings import LakeSettings


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One file: its table, UTC date and key, its number of rows, its size, and the revision that it shows.

    `received_to` is when the newest of its events was received, in ISO 8601; None where it has no such column, or row.
    """

    table: str
    day: date
    key: str
    rows: int
    bytes: int
    revision: str
    received_to: str | None = None


@contextmanager
def writing(settings: LakeSettings, day: date) -> Iterator[Connection]:
    """Wait until nobody else writes the date's snapshots, and hold that until the block ends, or this process does."""
    with connect(settings) as conn:
        conn.execute(query("snapshots/lock"), {"date": day})
        yield conn


def note(conn: Connection, file: Snapshot) -> None:
    """Note that a file was put."""
    conn.execute(query("snapshots/note"), asdict(file))


def total_rows(conn: Connection, table: str) -> int:
    """Return how many rows all files of a table have, of those that were noted."""
    (rows,) = conn.execute(query("snapshots/rows"), {"table": table}).fetchone() or (0,)
    return int(rows)


def known_revisions(conn: Connection, day: date) -> dict[str, str]:
    """Return the revision that each table's file of a date shows, of those that were noted."""
    return dict(conn.execute(query("snapshots/known"), {"date": day}).fetchall())
