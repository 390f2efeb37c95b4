"""The ledger: which landing files were loaded, with how many lines of each kind.

Belongs here: the entry of a file, and which files have none. Not: listing (pending), files that aren't what the entry
says (alarms), what a line is (parsing).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.zone import LandingFile
from pipelines.loading.batches import Batch, LandedRow
from pipelines.parsing.extraction import RULES_VERSION


@dataclass(frozen=True)
class LoadCounts:
    """Counts of a load: files and lines read; lines that became events, repeated one, or were put aside."""

    files: int = 0
    lines: int = 0
    loaded: int = 0
    duplicates: int = 0
    quarantined: int = 0

    def __add__(self, other: Self) -> "LoadCounts":
        return LoadCounts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def __str__(self) -> str:
        if not self.files:
            return "0 files, 0 lines: nothing to load"
        return (
            f"{self.files} files, {self.lines} lines: {self.loaded} loaded, "
            f"{self.duplicates} duplicates, {self.quarantined} quarantined"
        )


class Entry(NamedTuple):
    """One file's entry. Its lines either became events (`loaded`), repeated one, or were put aside."""

    key: str
    etag: str | None
    size: int
    sha256: str | None  # of the bytes that were loaded; None where the store gave none
    lines: int
    loaded: int
    duplicates: int
    quarantined: int


def unknown(conn: Connection, files: Sequence[LandingFile]) -> set[str]:
    """Return the keys of those files that have no entry."""
    return {key for (key,) in conn.execute(query("load/new_files"), {"keys": [file.key for file in files]})}


def entries(conn: Connection, keys: Sequence[str]) -> dict[str, Entry]:
    """Return the entries of some landing files, by key."""
    return {found[0]: Entry(*found) for found in conn.execute(query("load/entries"), {"keys": list(keys)})}


def enter(conn: Connection, batch: Batch, run_id: str, new: Sequence[LandedRow]) -> LoadCounts:
    """Write the entries of a batch's files, and its faults into the quarantine, in the caller's transaction."""
    entries = _entries(batch, new)
    columns = {name: [getattr(entry, name) for entry in entries] for name in Entry._fields}
    conn.execute(query("load/ledger"), {**columns, "run_id": run_id, "rules": RULES_VERSION})
    with conn.cursor() as cursor:
        cursor.executemany(query("load/quarantine"), batch.unloadable)
    counted = ("lines", "loaded", "duplicates", "quarantined")
    return LoadCounts(len(entries), *(sum(columns[name]) for name in counted))


def _entries(batch: Batch, new: Sequence[LandedRow]) -> list[Entry]:
    """Return the entries of a batch's files; `new` are the lines that brought an event."""
    loaded = Counter(each.landing_key for each in new)
    loadable = Counter(each.landing_key for each in batch.loadable)
    entries = []
    for file in batch.files:
        lines, good, first = batch.lines[file.key], loadable[file.key], loaded[file.key]
        entries.append(
            Entry(file.key, file.etag, file.size, batch.sha256.get(file.key), lines, first, good - first, lines - good)
        )
    return entries
