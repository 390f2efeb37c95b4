"""The quarantine: what could not be loaded, looked at, tried again or discarded.

Belongs here: the entries' way back, and their marks. Not: why a line can't be loaded (parsing, rejections).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from pipelines.db.connection import Connection
from pipelines.db.migrations import check_schema
from pipelines.db.queries import query
from pipelines.errors import WppLakeError
from pipelines.landing.zone import LandingZone
from pipelines.loading.batches import BATCH_BYTES, WHOLE_FILE, Batch, LandedRow
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.store import exclusive_transaction, store
from pipelines.redaction.lines import read_eraser

Entry = dict[str, Any]
ENTRY_BYTES = 1 << 11  # about what an entry takes beside its line


class NoSuchEntryError(WppLakeError, LookupError):
    """The quarantine has no entry of this id."""


def entries(conn: Connection, state: str | None = "open", reason: str | None = None) -> list[Entry]:
    """Return what is in quarantine, in all states or one and for all reasons or one, without its content."""
    cursor = conn.cursor(row_factory=dict_row)
    return cursor.execute(query("quarantine/list"), {"state": state, "reason": reason}).fetchall()


def entry(conn: Connection, entry_id: UUID) -> Entry:
    """Return one entry with its content as `raw`, in bytes. Raises NoSuchEntryError."""
    found = conn.cursor(row_factory=dict_row).execute(query("quarantine/show"), {"id": entry_id}).fetchone()
    if found is None:
        raise NoSuchEntryError(f"nothing in quarantine has the id {entry_id}")
    return found


def retry(conn: Connection, zone: LandingZone, tried: Sequence[Entry]) -> Counter[str]:
    """Load these entries' bytes again, those that are still open, and return how many ended in which state.

    Each transaction takes a bounded number of bytes, loads what it can, marks it and corrects the ledger. A file that
    was put aside as a whole becomes new again ("pending"): the next load reads it. `conn` is in autocommit mode.
    Raises NoSecretError, SchemaError.
    """
    check_schema(conn)
    verifier = zone.verifier()
    eraser = read_eraser(zone, verifier)
    conn.execute(query("load/staging_tables"))
    return sum((_retry(conn, Batch(verifier, eraser), ids) for ids in _bounded(tried)), Counter[str]())


def discard(conn: Connection, ids: Sequence[UUID], by: str, reason: str) -> int:
    """Mark open entries as not worth another try, with who says so and why; return how many."""
    return conn.execute(query("quarantine/discard"), {"ids": list(ids), "by": by, "reason": reason}).rowcount


def _bounded(tried: Sequence[Entry]) -> Iterator[list[UUID]]:
    ids: list[UUID] = []
    size = 0
    for each in tried:
        length = each["bytes"] + ENTRY_BYTES
        if ids and size + length > BATCH_BYTES:
            yield ids
            ids, size = [], 0
        ids.append(each["id"])
        size += length
    if ids:
        yield ids


def _retry(conn: Connection, batch: Batch, ids: Sequence[UUID]) -> Counter[str]:
    with exclusive_transaction(conn):
        found = conn.execute(query("quarantine/open"), {"ids": list(ids)}).fetchall()
        files = 0
        for _, key, number, raw in found:
            if number == WHOLE_FILE:
                files += conn.execute(query("quarantine/forget_file"), {"key": key}).rowcount
            else:
                batch.add_line(key, number, raw)
        counts = store(conn, batch, partial(_correct, conn, batch, found))
    return Counter(loaded=counts.lines - counts.quarantined, open=counts.quarantined, pending=files)


def _correct(
    conn: Connection, batch: Batch, found: Sequence[tuple[UUID, str, int, bytes]], new: Sequence[LandedRow]
) -> LoadCounts:
    """Mark the entries found, and correct the ledger's entries of their files."""
    failed = {(fault["landing_key"], fault["line_number"]): fault for fault in batch.unloadable}
    loaded, first = (Counter(each.landing_key for each in lines) for lines in (batch.loadable, new))
    no_fault = {"reason": None, "detail": None}
    with conn.cursor() as cursor:
        cursor.executemany(
            query("quarantine/retried"),
            [{**failed.get((key, number), no_fault), "id": entry_id} for entry_id, key, number, _ in found],
        )
        cursor.executemany(
            query("quarantine/ledger"),
            [{"key": key, "lines": lines, "loaded": first[key]} for key, lines in loaded.items()],
        )
    return LoadCounts(lines=len(batch.loadable) + len(failed), quarantined=len(failed))
