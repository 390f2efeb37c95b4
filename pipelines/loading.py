"""Loads landing files into the tables: what a batch shows of people and groups, then its events and ledger entries.

Belongs here: batches, transactions, locks, retries after a race. Not: what a line is (lines), what a batch shows
(observations), how events are stored (events), nor the steps themselves (sql/observations, sql/events).
"""

import gc
import logging
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Any, Self

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from pipelines import binary_copy
from pipelines.batches import Batch, LandedRow, in_batches
from pipelines.events import OvertakenError, store_events
from pipelines.extraction import RULES_VERSION
from pipelines.landing_zone import LandingFile, LandingZone
from pipelines.migrations import check_schema
from pipelines.pending import as_listed, forget_hours, pending
from pipelines.queries import Connection, query, run_steps

# What Postgres answers when it can't store a value (classes 22, 54 and XX), as against when it can't work.
REFUSALS = (psycopg.DataError, errors.ProgramLimitExceeded, errors.StatementTooComplex, errors.InternalError_)
# Of class XX only what these sources raise is a value's fault: a size that is never allocated, a trigger's refusal.
# Anything else is Postgres' own, such as a file that a quota lets not grow. Sources have names, messages a language.
REFUSING_SOURCES = {"mcxt.c", "pl_exec.c"}
# What shows that another load was quicker: at an event or a file, at each other, or with a rebuild.
RACES = (errors.UniqueViolation, errors.DeadlockDetected, OvertakenError)
SWITCH_SECONDS = 0.0005
GC_THRESHOLD = 50_000
LISTED_FILES = 100_000  # so many are listed at once, some 35 MB of memory

COUNTED = ("lines", "loaded", "duplicates", "quarantined")

_log = logging.getLogger(__name__)


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


Enter = Callable[[Sequence[LandedRow]], LoadCounts]
Question = Callable[[Connection, Sequence[LandedRow]], dict[LandedRow, str]]


def load(conn: Connection, zone: LandingZone, hours: Iterable[datetime], run_id: str) -> LoadCounts:
    """Load what the ledger lacks of these UTC hours, batch by batch, and return what was done.

    `conn` is in autocommit mode. Any number of loads may run at once. A batch that fails leaves those before it loaded;
    the next load goes on from there.
    """
    done, loaded, began = LoadCounts(), 0, time.monotonic()
    hours = sorted({hour.replace(minute=0, second=0, microsecond=0) for hour in hours})
    (moment,) = conn.execute(query("load/moment")).fetchone() or (None,)
    waiting = (file for hour in hours for file in pending(conn, zone, hour))
    with _at_speed():
        while files := list(islice(waiting, LISTED_FILES)):
            conn.execute(query("load/staging_tables"))
            left = sum(file.size for file in files)
            for batch in _read_ahead(zone, files):
                done += load_batch(conn, batch, run_id)
                size = sum(file.size for file in batch.files)
                loaded, left = loaded + size, left - size
                del batch  # while the next one is read to its end
                _log.info("%s", progress(done, loaded, left, time.monotonic() - began))
    forget_hours(conn, hours, moment)
    return done


@contextmanager
def _at_speed() -> Iterator[None]:
    """Set the interpreter for the block, which makes much that no cycle holds, in two threads that share one lock.

    The thread that feeds Postgres, and mostly waits, soon gets the lock from the one that reads lines; the collector
    comes seldom, and doesn't look at what was there before.
    """
    switch, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.set_threshold(GC_THRESHOLD, *thresholds[1:])
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(switch)
        gc.set_threshold(*thresholds)


def rebuild(conn: Connection, zone: LandingZone, run_id: str) -> LoadCounts:
    """Empty the tables and load the whole landing zone again, in one transaction, and return what was done.

    Until it ends everybody else reads the tables as they were, and so they stay if it fails; other loads wait. Of the
    quarantine what was discarded stays, of the tables what the landing zone doesn't hold: tenants, internal names and
    identities that somebody has set. Raises SchemaError.
    """
    check_schema(conn)
    with alone(conn):
        conn.execute(query("load/assigned"))
        conn.execute(query("load/empty"))
        done = load(conn, zone, {file.hour for page in zone.files() for file in page}, run_id)
        conn.execute(query("load/assigned_again"))
        return done


def progress(done: LoadCounts, loaded: int, left: int, seconds: float) -> str:
    """Say how far a load is that took so many seconds for the bytes loaded, and has others left of those listed."""
    share, remaining = left / max(1, loaded + left), seconds * left / max(1, loaded)
    return f"{done}; {done.lines / seconds:,.0f} lines/s, {share:.0%} left, about {remaining:,.0f} s"


def _read_ahead(zone: LandingZone, files: Iterable[LandingFile]) -> Iterator[Batch]:
    """Yield files in batches of read lines, the next one being read while Postgres has the one before."""
    with ThreadPoolExecutor(1) as reader:
        reading: deque[Future[Batch]] = deque()
        for batch in in_batches(files):
            reading.append(reader.submit(Batch.read, zone.fetch(batch)))
            if len(reading) > 1:
                yield reading.popleft().result()
        while reading:
            yield reading.popleft().result()


def load_batch(conn: Connection, batch: Batch, run_id: str) -> LoadCounts:
    """Load a batch, but for the files that another load has loaded meanwhile.

    The session has the staging tables (sql/load/staging_tables.sql). After a race with another load it is done again,
    alone.
    """
    try:
        return _load_batch(conn, batch, run_id)
    except RACES:
        _log.info("another load was quicker: the batch is loaded again")
    with alone(conn):
        return _load_batch(conn, batch, run_id)


def _load_batch(conn: Connection, batch: Batch, run_id: str) -> LoadCounts:
    listed = conn.execute(query("load/new_files"), as_listed(batch.files))
    batch = batch.only({key for key, changed in listed if not changed})
    if not batch.files:
        return LoadCounts()
    batch.withhold(set(conn.execute(query("load/discarded"), {"keys": [file.key for file in batch.files]})))
    return store(conn, batch, partial(_enter, conn, batch, run_id))


@contextmanager
def alone(conn: Connection) -> Iterator[None]:
    """Begin a transaction beside which no load changes anything: nobody can be quicker, nothing can deadlock."""
    with conn.transaction():
        conn.execute(query("load/lock_people"))
        conn.execute(query("load/lock_events_alone"))
        yield


def store(conn: Connection, batch: Batch, enter: Enter) -> LoadCounts:
    """Store a batch in two transactions: what it shows of people and groups; then its events, and what `enter` adds.

    The first can be repeated at will: observations are folded, not counted. `enter` gets the lines that brought events
    which were not known before. Raises one of RACES.
    """
    batch.refuse(refused(conn, [each for each in batch.loadable if each.row.doubtful], _ask))
    store_observations(conn, batch)
    try:
        with _clean_transaction(conn):
            conn.execute(query("load/lock_events"))
            new = store_events(conn, batch.loadable)
            counts = enter(new)
            dates = {each.row.received_at.astimezone(UTC).date() for each in new}
            conn.execute(query("load/days"), {"dates": list(dates)})
            return counts
    except REFUSALS:
        unforeseen = refused(conn, batch.loadable, _ask) or refused(conn, batch.loadable, _try)
        if not unforeseen:
            raise
        batch.refuse(unforeseen)
        return store(conn, batch, enter)


def store_observations(conn: Connection, batch: Batch) -> None:
    """Store what a batch shows of people and groups, in a transaction; one batch at a time does so."""
    seen = batch.seen or batch.observe()
    with _clean_transaction(conn):
        binary_copy.copy(conn, "load/copy_jids", seen.jid_rows())
        binary_copy.copy(conn, "load/copy_pairs", seen.pair_rows())
        binary_copy.copy(conn, "load/copy_groups", seen.group_rows())
        conn.execute(query("load/analyze_observations"))
        conn.execute(query("load/lock_people"))
        run_steps(conn, "observations")
        conn.execute(query("load/days"), {"dates": []})


@contextmanager
def _clean_transaction(conn: Connection) -> Iterator[None]:
    """Begin a transaction without anything staged: a commit clears that, but not the end of a rebuild's batch."""
    nested = conn.info.transaction_status is TransactionStatus.INTRANS
    with conn.transaction():
        if nested:
            conn.execute(query("load/clear_staging"))
        yield


def _enter(conn: Connection, batch: Batch, run_id: str, new: Sequence[LandedRow]) -> LoadCounts:
    """Enter a batch into ledger and quarantine."""
    loaded = Counter(each.landing_key for each in new)
    loadable = Counter(each.landing_key for each in batch.loadable)
    entries: dict[str, list[Any]] = {name: [] for name in ("key", "etag", "size", *COUNTED)}
    for file in batch.files:
        lines, good, first = batch.lines[file.key], loadable[file.key], loaded[file.key]
        entry = (file.key, file.etag, file.size, lines, first, good - first, lines - good)
        for column, value in zip(entries.values(), entry, strict=True):
            column.append(value)
    conn.execute(query("load/ledger"), {**entries, "run_id": run_id, "rules": RULES_VERSION})
    with conn.cursor() as cursor:
        cursor.executemany(query("load/quarantine"), batch.unloadable)
    return LoadCounts(len(batch.files), *(sum(entries[name]) for name in COUNTED))


def _ask(conn: Connection, lines: Sequence[LandedRow]) -> dict[LandedRow, str]:
    """Ask for all payloads at once which of them jsonb refuses, and why."""
    payloads = {"payloads": [bytes(each.row.payload).decode() for each in lines]}
    return {lines[place - 1]: fault for place, fault in conn.execute(query("load/refused_payloads"), payloads)}


def _try(conn: Connection, lines: Sequence[LandedRow]) -> dict[LandedRow, str]:
    """Store lines for a try."""
    conn.execute(query("load/lock_events"))
    store_events(conn, lines)
    return {}


def refused(conn: Connection, lines: Sequence[LandedRow], question: Question) -> dict[LandedRow, str]:
    """Return the lines that Postgres refuses, with what it said.

    Where the question itself is refused, the lines are halved until those that make it so stand alone.
    """
    if not lines:
        return {}
    try:
        with conn.transaction(force_rollback=True):
            return question(conn, lines)
    except REFUSALS as error:
        if isinstance(error, errors.InternalError_) and error.diag.source_file not in REFUSING_SOURCES:
            raise
        if len(lines) == 1:
            return {lines[0]: f"{error.sqlstate} {error.diag.message_primary}"}
    middle = len(lines) // 2
    return refused(conn, lines[:middle], question) | refused(conn, lines[middle:], question)
