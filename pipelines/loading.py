"""Loads landing files into the tables: each batch's rows and ledger entries in one transaction.

Belongs here: batches, transactions, staging, the order of the steps. Not: what a line is (lines), what a batch shows of
people (observations), nor the steps themselves (sql/load).
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import psycopg
from psycopg import errors

from pipelines.landed import split_lines
from pipelines.landing_zone import FetchedFile, LandingFile, LandingZone
from pipelines.lines import Row, UnloadableError, read_line
from pipelines.observations import Observations
from pipelines.queries import load_steps, query

LOAD_LOCK = 7_077_061  # any number that nothing else in the database locks

# What Postgres answers when it can't store a value (classes 22, 54 and XX), as against when it can't work.
REFUSALS = (psycopg.DataError, errors.ProgramLimitExceeded, errors.StatementTooComplex, errors.InternalError_)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class LoadCounts:
    """What a load did: files and lines read; lines that became events, repeated one, or were put aside."""

    files: int = 0
    lines: int = 0
    loaded: int = 0
    duplicates: int = 0
    quarantined: int = 0

    def __add__(self, other: Self) -> "LoadCounts":
        return LoadCounts(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def __str__(self) -> str:
        return (
            f"{self.files} files, {self.lines} lines: {self.loaded} loaded, "
            f"{self.duplicates} duplicates, {self.quarantined} quarantined"
        )


@dataclass(frozen=True, slots=True, eq=False)
class StagedLine:
    """One loadable line, where it was landed, and its bytes, should Postgres refuse it."""

    landing_key: str
    line_number: int
    row: Row
    raw: bytes


@dataclass
class Batch:
    """The lines of some landing files, told apart: loadable or not. Line numbers count from 1."""

    files: list[LandingFile] = field(default_factory=list)
    lines: Counter[str] = field(default_factory=Counter)
    loadable: list[StagedLine] = field(default_factory=list)
    unloadable: list[dict[str, Any]] = field(default_factory=list)

    def add(self, file: LandingFile, content: bytes) -> None:
        """Read a file's lines."""
        self.files.append(file)
        for number, line in enumerate(split_lines(content), 1):
            self.lines[file.key] += 1
            try:
                self.loadable.append(StagedLine(file.key, number, read_line(line), line))
            except UnloadableError as error:
                self._put_aside(file.key, number, error.reason, error.detail, line)
            except Exception as error:  # noqa: BLE001  no line may stop the others, whatever it is that nobody thought of
                self._put_aside(file.key, number, "unforeseen", type(error).__name__, line)

    def refuse(self, refused: dict[StagedLine, str]) -> None:
        """Put aside the lines that Postgres refused."""
        self.loadable = [staged for staged in self.loadable if staged not in refused]
        for staged, detail in refused.items():
            self._put_aside(staged.landing_key, staged.line_number, "refused_by_postgres", detail, staged.raw)

    def _put_aside(self, key: str, number: int, reason: str, detail: str, raw: bytes) -> None:
        fault = {"landing_key": key, "line_number": number, "reason": reason, "detail": detail, "raw": raw}
        self.unloadable.append(fault)


def pending(conn: Connection, zone: LandingZone, hour: datetime | None = None) -> Iterator[LandingFile]:
    """Yield the landing files that the ledger doesn't know, of one hour or of all."""
    for page in zone.files(hour):
        listed = {file.key: file for file in page}
        for (key,) in conn.execute(query("load/unknown_files"), {"keys": list(listed)}):
            yield listed[key]


def load(
    conn: Connection,
    zone: LandingZone,
    hours: Sequence[datetime],
    run_id: str,
    report: Callable[[LoadCounts], None] = lambda _: None,
) -> LoadCounts:
    """Load what the ledger lacks of these UTC hours, one batch a transaction, and return what was done.

    `conn` is in autocommit mode. Waits while another load runs. `report` is called after each batch with the sum so
    far. A batch that fails leaves those before it loaded; the next load goes on from there.
    """
    done = LoadCounts()
    with _one_load_at_a_time(conn):
        conn.execute(query("load/staging_tables"))
        files = (file for hour in hours for file in pending(conn, zone, hour))
        for fetched in zone.fetch(files):
            done += _load_batch(conn, fetched, run_id)
            report(done)
    return done


@contextmanager
def _one_load_at_a_time(conn: Connection) -> Iterator[None]:
    conn.execute(query("load/lock"), {"lock": LOAD_LOCK})
    try:
        yield
    finally:
        if not conn.broken:
            conn.execute(query("load/unlock"), {"lock": LOAD_LOCK})


def _load_batch(conn: Connection, fetched: Iterable[FetchedFile], run_id: str) -> LoadCounts:
    batch = Batch()
    for each in fetched:
        batch.add(each.file, each.content)
    with conn.transaction():
        batch.refuse(_stage_events(conn, batch.loadable))
        _stage_observations(conn, batch.loadable)
        loaded = _run_steps(conn)
        with conn.cursor() as cursor:
            cursor.executemany(query("load/quarantine"), batch.unloadable)
            entries = list(_ledger_entries(batch, loaded, run_id))
            cursor.executemany(query("load/ledger"), entries)
    counts = (sum(entry[name] for entry in entries) for name in ("lines", "loaded", "duplicates", "quarantined"))
    return LoadCounts(len(entries), *counts)


def _stage_events(conn: Connection, lines: Sequence[StagedLine]) -> dict[StagedLine, str]:
    """Stage all lines at once; where Postgres refuses, halve until the refused ones stand alone. Returns those."""
    if not lines:
        return {}
    try:
        with conn.transaction():
            _copy(conn, "load/copy_events", map(_event_row, lines))
    except REFUSALS as error:
        if len(lines) == 1:
            return {lines[0]: f"{error.sqlstate} {error.diag.message_primary}"}
        middle = len(lines) // 2
        return _stage_events(conn, lines[:middle]) | _stage_events(conn, lines[middle:])
    return {}


def _event_row(staged: StagedLine) -> tuple[object, ...]:
    row, shown = staged.row, staged.row.shown
    return (
        row.event_id, row.type, shown.group_jid, shown.author and shown.author.jid, shown.occurred_at, row.received_at,
        row.payload, row.sanitized, row.body_sha256, shown.undecrypted, staged.landing_key, staged.line_number,
    )  # fmt: skip


def _stage_observations(conn: Connection, lines: Iterable[StagedLine]) -> None:
    seen = Observations()
    for staged in lines:
        seen.add(staged.row, staged.landing_key, staged.line_number)
    _copy(conn, "load/copy_jids", seen.jid_rows())
    _copy(conn, "load/copy_pairs", seen.pair_rows())
    _copy(conn, "load/copy_groups", seen.group_rows())
    conn.execute(query("load/analyze"))


def _copy(conn: Connection, name: str, rows: Iterable[tuple[object, ...]]) -> None:
    with conn.cursor() as cursor, cursor.copy(query(name)) as copy:
        for row in rows:
            copy.write_row(row)


def _run_steps(conn: Connection) -> dict[str, int]:
    """Run the load steps; return how many new events each landing file brought."""
    loaded: dict[str, int] = {}
    for step in load_steps():
        cursor = conn.execute(query(step))
        if cursor.description:
            loaded.update(cursor.fetchall())
    return loaded


def _ledger_entries(batch: Batch, loaded: dict[str, int], run_id: str) -> Iterator[dict[str, Any]]:
    put_aside = Counter(fault["landing_key"] for fault in batch.unloadable)
    for file in batch.files:
        lines, new, bad = batch.lines[file.key], loaded.get(file.key, 0), put_aside[file.key]
        counts = {"lines": lines, "loaded": new, "duplicates": lines - new - bad, "quarantined": bad}
        yield {"key": file.key, "etag": file.etag, "size": file.size, "run_id": run_id, **counts}
