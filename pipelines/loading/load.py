"""Loads landing files into the tables, batch by batch; or all of them again into emptied tables.

Belongs here: which files make the next batch, speed, and what is done again after a race. Not: what a line is
(parsing), the transactions of a batch (store).
"""

import gc
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from typing import NamedTuple

from psycopg import errors

from pipelines.db.connection import Connection
from pipelines.db.migrations import check_schema
from pipelines.db.queries import query
from pipelines.errors import WppLakeError
from pipelines.landing.authenticity import Verifier
from pipelines.landing.zone import LandingFile, LandingZone
from pipelines.loading import ledger
from pipelines.loading.alarms import Watch, count_alarms, log_alarms
from pipelines.loading.announced import announce
from pipelines.loading.batches import Batch, in_batches
from pipelines.loading.events import OvertakenError
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.pending import forget_hours, list_everything, pending
from pipelines.loading.store import ErasedMeanwhileError, exclusive_transaction, store
from pipelines.prefetch import prefetch
from pipelines.redaction.lines import Eraser, read_eraser

# What shows that another load was quicker: at an event or a file, at each other, or with a rebuild.
RACES = (errors.UniqueViolation, errors.DeadlockDetected, OvertakenError)
SWITCH_SECONDS = 0.0005
GC_THRESHOLD = 50_000
REMEDY = "Restore the files, or accept the loss: `wpp-lake rebuild --accept-loss --reason WHY`"
LISTED_FILES = 100_000  # so many are listed at once, some 35 MB of memory

_log = logging.getLogger(__name__)


class LossError(WppLakeError):
    """A rebuild would end with less than there is."""


class AcceptedLoss(NamedTuple):
    """The name of who accepts that a rebuild ends with less than there is, and the reason."""

    by: str
    reason: str


NOBODY = AcceptedLoss("", "")


def load(conn: Connection, zone: LandingZone, hours: Iterable[datetime], run_id: str) -> LoadCounts:
    """Load what the ledger lacks of these UTC hours, batch by batch, and return what was done.

    `conn` is in autocommit mode. Any number of loads may run at once. A batch that fails leaves those before it loaded;
    the next load goes on from there. What of these hours isn't what was loaded becomes an alarm; files of hours that
    have expired are passed over. Raises NoSecretError, ErasureKeyError, and ErasedMeanwhileError where the database
    knows a list of erasures that the landing bucket hasn't.
    """
    verifier, done = zone.verifier(), LoadCounts()
    hours = sorted({hour.replace(minute=0, second=0, microsecond=0) for hour in hours})
    (moment,) = conn.execute(query("load/moment")).fetchone() or (None,)
    with _at_speed():
        while True:
            eraser = read_eraser(zone, verifier)
            try:
                for counts in _load_pending(conn, zone, eraser, hours, run_id):
                    done += counts
                break
            except ErasedMeanwhileError:
                if read_eraser(zone, verifier).erasures.revision == eraser.erasures.revision:
                    raise
                _log.info("the list of erasures has changed: what is left is read by the new one")
    forget_hours(conn, hours, moment)
    log_alarms(conn)
    return done


def _load_pending(
    conn: Connection, zone: LandingZone, eraser: Eraser, hours: Iterable[datetime], run_id: str
) -> Iterator[LoadCounts]:
    """Load what the ledger lacks of hours, and yield each batch's counts. Raises ErasedMeanwhileError."""
    verifier = zone.verifier()
    announce(conn, eraser.erasures.listed)
    done, loaded, began = LoadCounts(), 0, time.monotonic()
    waiting = (file for hour in hours for file in pending(conn, zone, hour, Watch(conn, zone, hour)))
    while files := list(islice(waiting, LISTED_FILES)):
        conn.execute(query("load/staging_tables"))
        left = sum(file.size for file in files)
        for batch in _read_ahead(zone, verifier, eraser, files):
            yield (counts := load_batch(conn, batch, run_id))
            size = sum(file.size for file in batch.files)
            done, loaded, left = done + counts, loaded + size, left - size
            del batch  # while the next one is read to its end
            _log.info("%s", progress(done, loaded, left, time.monotonic() - began))


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


def rebuild(conn: Connection, zone: LandingZone, run_id: str, accepted: AcceptedLoss | None = None) -> LoadCounts:
    """Empty the tables and load the whole landing zone again, in one transaction, and return what was done.

    Until it ends everybody else reads the tables as they were, and so they stay if it fails; other loads wait. Of the
    quarantine what was discarded stays, of the tables what the landing zone doesn't hold: tenants, internal names and
    identities that somebody has set. While landing files are missing or changed, or where lines that are rows now would
    be none, it raises LossError; a loss that is accepted is recorded. What has expired is no loss: it is logged. Raises
    NoSecretError, SchemaError.
    """
    check_schema(conn)
    list_everything(conn, zone)
    if any(counts := count_alarms(conn)) and not accepted:
        raise LossError(f"{counts}: nothing was changed. {REMEDY}")
    with exclusive_transaction(conn):
        conn.execute(query("load/former_ledger"))
        conn.execute(query("load/assigned"))
        conn.execute(query("load/empty"))
        done = load(conn, zone, {file.hour for page in zone.files() for file in page}, run_id)
        (lost,) = conn.execute(query("load/losses"), (accepted or NOBODY)._asdict()).fetchone() or (0,)
        if lost and not accepted:
            raise LossError(f"{lost} lines that are rows now would be none: nothing was changed. {REMEDY}")
        conn.execute(query("load/assigned_again"))
        files, lines = conn.execute(query("load/expired")).fetchone() or (0, 0)
        if files:
            _log.warning("%d lines of %d landing files have expired: they are rows no more", lines, files)
        return done


def progress(done: LoadCounts, loaded: int, left: int, seconds: float) -> str:
    """Say how far a load is that took so many seconds for the bytes loaded, and has others left of those listed."""
    if not left:
        return f"{done} in {seconds:,.1f} s, {done.lines / seconds:,.0f} lines/s"
    share, remaining = left / max(1, loaded + left), seconds * left / max(1, loaded)
    return f"{done}; {done.lines / seconds:,.0f} lines/s, {share:.0%} left, about {remaining:,.0f} s"


def _read_ahead(
    zone: LandingZone, verifier: Verifier | None, eraser: Eraser, files: Iterable[LandingFile]
) -> Iterator[Batch]:
    """Yield files in batches of read lines, the next one being read while Postgres has the one before."""
    return prefetch(lambda batch: Batch.read(zone.fetch(batch), verifier, eraser), in_batches(files))


def load_batch(conn: Connection, batch: Batch, run_id: str) -> LoadCounts:
    """Load a batch, but for the files that another load has loaded meanwhile.

    The session has the staging tables (sql/load/staging_tables.sql). After a race with another load it is done again,
    in an exclusive transaction.
    """
    try:
        return _load_batch(conn, batch, run_id)
    except RACES:
        _log.info("another load was quicker: the batch is loaded again")
    with exclusive_transaction(conn):
        return _load_batch(conn, batch, run_id)


def _load_batch(conn: Connection, batch: Batch, run_id: str) -> LoadCounts:
    batch = batch.only(ledger.unknown(conn, batch.files))
    if not batch.files:
        return LoadCounts()
    batch.withhold(set(conn.execute(query("load/discarded"), {"keys": [file.key for file in batch.files]})))
    return store(conn, batch, partial(ledger.enter, conn, batch, run_id))
