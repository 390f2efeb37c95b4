"""Finds stale snapshots: those missing in the bucket, or older than what changed in the tables since.

Belongs here: comparing the tables' revisions with those of the files. Not: writing files (write).
"""

from collections.abc import Iterable
from datetime import date

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.hours import today
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.files import known_revisions, note
from pipelines.snapshots.schemas import EVENTS, FIELDS, SCHEMAS


def tables_of(day: date) -> tuple[str, ...]:
    """Return the tables that a date's snapshot has: a past date has its events only, its state is gone."""
    return tuple(SCHEMAS) if day == today() else (EVENTS,)


def is_empty(conn: Connection, day: date) -> bool:
    """Tell whether no event was received on a UTC date, and no file was ever written that would say otherwise."""
    (found,) = conn.execute(query("snapshots/is_empty"), {"date": day}).fetchone() or (False,)
    return bool(found)


def stale_dates(conn: Connection) -> list[date]:
    """Return the UTC dates of which a snapshot is missing or shows what has changed since, today among them.

    As the database knows it: `forget_missing` compares that with the bucket.
    """
    of_state = [table for table in SCHEMAS if table != EVENTS]
    conn.execute(query("snapshots/settle"), {"today": today()})
    wanted = {"of_events": [EVENTS, FIELDS], "of_state": of_state, "today": today()}
    return [day for (day,) in conn.execute(query("snapshots/stale_dates"), wanted)]


def forget_missing(conn: Connection, store: SnapshotStore) -> list[str]:
    """Forget the noted files that the bucket doesn't have as they were noted, whose dates are stale then; name them.

    It lists the whole snapshot bucket. A file that is being written meanwhile may be forgotten: it is found again.
    """
    sizes = {table: store.sizes(table) for table in (*SCHEMAS, FIELDS)}
    forgotten = []
    for table, day, size in conn.execute(query("snapshots/files")).fetchall():
        if sizes.get(table, {}).get(str(day)) != size:
            conn.execute(query("snapshots/forget"), {"table": table, "date": day, "bytes": size})
            forgotten.append(snapshot_key(table, day))
    return forgotten


def current_revisions(ledger: Connection, store: SnapshotStore, day: date, tables: Iterable[str]) -> dict[str, str]:
    """Return the revision that each table's file of a date shows; one that wasn't noted is asked itself, and noted."""
    known = known_revisions(ledger, day)
    for table in set(tables) - known.keys():
        if file := store.find(table, day):
            note(ledger, file)
            known[table] = file.revision
    return known
