"""Loads landing files into the tables: each batch's rows and ledger entries in one transaction.

Belongs here: batches, transactions, staging, the order of the steps. Not: what a line is (lines), what a batch shows of
people (observations), nor the steps themselves (sql/load).
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from pipelines.landing_zone import FetchedFile, LandingFile, LandingZone
from pipelines.lines import Row, UnloadableError, read_file, read_line
from pipelines.observations import Observations
from pipelines.queries import load_steps, query

# What Postgres answers when it can't store a value (classes 22, 54 and XX), as against when it can't work.
REFUSALS = (psycopg.DataError, errors.ProgramLimitExceeded, errors.StatementTooComplex, errors.InternalError_)

WHOLE_FILE = 0  # the line number of a file that was put aside as a whole
HEAD_BYTES = 65_536  # what is kept of such a file: the landing zone has it all

Connection = psycopg.Connection[Any]

_log = logging.getLogger(__name__)


class _LoadedMeanwhileError(Exception):
    """Other files of the batch than these `unknown` ones are in the ledger by now."""

    def __init__(self, unknown: set[str]) -> None:
        self.unknown = unknown


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
    seen: Observations | None = None

    @classmethod
    def read(cls, fetched: Iterable[FetchedFile]) -> Self:
        """Read the lines of some files."""
        batch = cls()
        for each in fetched:
            batch.add(each)
        batch.observe()
        return batch

    def add(self, fetched: FetchedFile) -> None:
        """Read a file's lines; one that can't be read is put aside whole."""
        key, content = fetched.file.key, fetched.content
        self.files.append(fetched.file)
        try:
            lines = read_file(content, fetched.fault)
        except UnloadableError as error:
            self.lines[key] += 1
            self._put_aside(key, WHOLE_FILE, error.reason, error.detail, content[:HEAD_BYTES])
            return
        for number, line in enumerate(lines, 1):
            self.add_line(key, number, line)

    def add_line(self, key: str, number: int, line: bytes) -> None:
        """Read one line."""
        self.lines[key] += 1
        try:
            self.loadable.append(StagedLine(key, number, read_line(line), line))
        except UnloadableError as error:
            self._put_aside(key, number, error.reason, error.detail, line)
        except Exception as error:  # noqa: BLE001  no line may stop the others, whatever it is that nobody thought of
            self._put_aside(key, number, "unforeseen", type(error).__name__, line)

    def observe(self) -> Observations:
        """Return what the loadable lines show of people and groups."""
        self.seen = Observations()
        for staged in self.loadable:
            self.seen.add(staged.row, staged.landing_key, staged.line_number)
        return self.seen

    def only(self, keys: Container[str]) -> "Batch":
        """Return what the batch holds of these files."""
        return Batch(
            [file for file in self.files if file.key in keys],
            self.lines,
            [staged for staged in self.loadable if staged.landing_key in keys],
            [fault for fault in self.unloadable if fault["landing_key"] in keys],
        )

    def withhold(self, discarded: set[tuple[str, int]]) -> None:
        """Leave out what was discarded, lines or whole files: it is in quarantine already, and stays there."""
        if not discarded:
            return

        def stays(key: str, number: int) -> bool:
            return discarded.isdisjoint({(key, number), (key, WHOLE_FILE)})

        self.loadable = [staged for staged in self.loadable if stays(staged.landing_key, staged.line_number)]
        self.unloadable = [fault for fault in self.unloadable if stays(fault["landing_key"], fault["line_number"])]
        for key in (key for key, number in discarded if number == WHOLE_FILE):
            self.lines[key] = 1
        self.seen = None

    def refuse(self, refused: dict[StagedLine, str]) -> None:
        """Put aside the lines that Postgres refused."""
        self.loadable = [staged for staged in self.loadable if staged not in refused]
        if refused:
            self.seen = None
        for staged, detail in refused.items():
            self._put_aside(staged.landing_key, staged.line_number, "refused_by_postgres", detail, staged.raw)

    def _put_aside(self, key: str, number: int, reason: str, detail: str, raw: bytes) -> None:
        fault = {"landing_key": key, "line_number": number, "reason": reason, "detail": detail, "raw": raw}
        self.unloadable.append(fault)


def _log_change(key: str) -> None:
    _log.error("landing file %s was changed after it was loaded; it is not loaded again", key)


def pending(
    conn: Connection, zone: LandingZone, hour: datetime | None = None, alarm: Callable[[str], object] = _log_change
) -> Iterator[LandingFile]:
    """Yield the landing files that the ledger doesn't know, of one hour or of all.

    One that it knows with another size or etag was changed, which nothing may do: `alarm` gets its key, and it isn't
    loaded again.
    """
    for page in zone.files(hour):
        listed = {file.key: file for file in page}
        for key, changed in conn.execute(query("load/new_files"), _as_listed(page)).fetchall():
            if changed:
                alarm(key)
            else:
                yield listed[key]


def _as_listed(files: Sequence[LandingFile]) -> dict[str, list[Any]]:
    return {
        "keys": [file.key for file in files],
        "sizes": [file.size for file in files],
        "etags": [file.etag for file in files],
    }


def load(conn: Connection, zone: LandingZone, hours: Sequence[datetime], run_id: str) -> LoadCounts:
    """Load what the ledger lacks of these UTC hours, one batch a transaction, and return what was done.

    `conn` is in autocommit mode. Any number of loads may run at once: they read and stage side by side, and change the
    tables one at a time. A batch that fails leaves those before it loaded; the next load goes on from there.
    """
    done, began = LoadCounts(), time.monotonic()
    conn.execute(query("load/staging_tables"))
    left = sum(file.size for hour in hours for file in pending(conn, zone, hour))
    total = max(1, left)
    files = (file for hour in hours for file in pending(conn, zone, hour))
    for batch in _read_ahead(zone.fetch(files)):
        done += load_batch(conn, batch, run_id)
        left -= sum(file.size for file in batch.files)
        _log.info("%s", progress(done, left / total, time.monotonic() - began))
    return done


def rebuild(conn: Connection, zone: LandingZone, run_id: str) -> LoadCounts:
    """Empty the tables and load the whole landing zone again, in one transaction, and return what was done.

    Until it ends everybody else reads the tables as they were, and so they stay if it fails; other loads wait. Of the
    quarantine what was discarded stays.
    """
    with conn.transaction():
        conn.execute(query("load/lock"))
        conn.execute(query("load/empty"))
        return load(conn, zone, sorted({file.hour for page in zone.files() for file in page}), run_id)


def progress(done: LoadCounts, left: float, seconds: float) -> str:
    """Say how far a load is: `left` is the share of the bytes that are still to load, after so many seconds."""
    remaining = max(0.0, seconds / max(1 - left, 1e-9) - seconds)
    return f"{done}; {done.lines / seconds:,.0f} lines/s, {max(0.0, left):.0%} left, about {remaining:,.0f} s"


def _read_ahead(batches: Iterable[Sequence[FetchedFile]]) -> Iterator[Batch]:
    """Yield batches as read lines, the next one being read while Postgres has the one before."""
    with ThreadPoolExecutor(1) as reader:
        reading: deque[Future[Batch]] = deque()
        for fetched in batches:
            reading.append(reader.submit(Batch.read, fetched))
            if len(reading) > 1:
                yield reading.popleft().result()
        yield from (each.result() for each in reading)


def load_batch(conn: Connection, batch: Batch, run_id: str) -> LoadCounts:
    """Load a batch in one transaction, but for the files that another load has loaded meanwhile.

    The session has the staging tables (sql/load/staging_tables.sql).
    """
    if conn.info.transaction_status is TransactionStatus.INTRANS:  # a rebuild's: the batch before is staged still
        conn.execute(query("load/clear_staging"))
    try:
        with conn.transaction():
            batch.withhold(set(conn.execute(query("load/discarded"), {"keys": [file.key for file in batch.files]})))
            stage(conn, batch)
            conn.execute(query("load/lock"))
            _check_unknown(conn, batch.files)
            return _apply(conn, batch, run_id)
    except _LoadedMeanwhileError as error:
        return load_batch(conn, batch.only(error.unknown), run_id) if error.unknown else LoadCounts()


def _check_unknown(conn: Connection, files: Sequence[LandingFile]) -> None:
    """Raise _LoadedMeanwhileError when the ledger knows one of the files by now."""
    unknown = {key for key, changed in conn.execute(query("load/new_files"), _as_listed(files)) if not changed}
    if len(unknown) < len(files):
        raise _LoadedMeanwhileError(unknown)


def stage(conn: Connection, batch: Batch) -> None:
    """Put what a batch holds into the staging tables; lines that Postgres refuses are put aside."""
    batch.refuse(_stage_events(conn, batch.loadable))
    seen = batch.seen or batch.observe()
    _copy(conn, "load/copy_jids", seen.jid_rows())
    _copy(conn, "load/copy_pairs", seen.pair_rows())
    _copy(conn, "load/copy_groups", seen.group_rows())
    conn.execute(query("load/analyze"))


def _apply(conn: Connection, batch: Batch, run_id: str) -> LoadCounts:
    """Change the tables by what is staged, and enter the files into the ledger."""
    loaded = run_steps(conn)
    with conn.cursor() as cursor:
        cursor.executemany(query("load/quarantine"), batch.unloadable)
        entries = list(_ledger_entries(batch, loaded, run_id))
        cursor.executemany(query("load/ledger"), entries)
    counts = (sum(entry[name] for entry in entries) for name in ("lines", "loaded", "duplicates", "quarantined"))
    return LoadCounts(len(entries), *counts)


def _stage_events(conn: Connection, lines: Sequence[StagedLine]) -> dict[StagedLine, str]:
    """Stage all lines but those that Postgres refuses, and return these with what it said.

    Where it doesn't name them all at once, the lines are halved until the refused ones stand alone.
    """
    if not lines:
        return {}
    try:
        with conn.transaction():
            _copy(conn, "load/copy_events", map(_event_row, lines))
    except REFUSALS as error:
        if len(lines) == 1:
            return {lines[0]: f"{error.sqlstate} {error.diag.message_primary}"}
        if refused := _refused_payloads(conn, lines):
            return refused | _stage_events(conn, [staged for staged in lines if staged not in refused])
        middle = len(lines) // 2
        return _stage_events(conn, lines[:middle]) | _stage_events(conn, lines[middle:])
    return {}


def _refused_payloads(conn: Connection, lines: Sequence[StagedLine]) -> dict[StagedLine, str]:
    """Ask for all payloads at once which of them jsonb refuses; none where the question itself is refused."""
    try:
        with conn.transaction():
            payloads = {"payloads": [staged.row.payload for staged in lines]}
            return {lines[place - 1]: fault for place, fault in conn.execute(query("load/refused_payloads"), payloads)}
    except REFUSALS:
        return {}


def _event_row(staged: StagedLine) -> tuple[object, ...]:
    row, shown = staged.row, staged.row.shown
    return (
        row.event_id, row.type, shown.group_jid, shown.author and shown.author.jid, shown.occurred_at, row.received_at,
        row.payload, row.sanitized, row.body_sha256, shown.undecrypted, staged.landing_key, staged.line_number,
    )  # fmt: skip


def _copy(conn: Connection, name: str, rows: Iterable[tuple[object, ...]]) -> None:
    with conn.cursor() as cursor, cursor.copy(query(name)) as copy:
        for row in rows:
            copy.write_row(row)


def run_steps(conn: Connection) -> dict[str, int]:
    """Run the load steps; return how many new events each landing file brought."""
    loaded: dict[str, int] = {}
    for step in load_steps():
        cursor = conn.execute(query(step))
        if cursor.description:
            loaded.update(cursor.fetchall())
    return loaded


def _ledger_entries(batch: Batch, loaded: dict[str, int], run_id: str) -> Iterator[dict[str, Any]]:
    loadable = Counter(staged.landing_key for staged in batch.loadable)
    for file in batch.files:
        lines, new, good = batch.lines[file.key], loaded.get(file.key, 0), loadable[file.key]
        counts = {"lines": lines, "loaded": new, "duplicates": good - new, "quarantined": lines - good}
        yield {"key": file.key, "etag": file.etag, "size": file.size, "run_id": run_id, **counts}
