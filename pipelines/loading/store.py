"""Stores a batch in two transactions: what it shows of people and groups; then its events and its ledger entries.

Belongs here: transactions and locks. Not: the steps themselves (sql/observations, sql/events), what is retried after a
race (load), the lines that Postgres rejects (rejections).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC

from psycopg.pq import TransactionStatus

from pipelines.db import binary_copy
from pipelines.db.connection import Connection
from pipelines.db.queries import query, run_steps
from pipelines.errors import WppLakeError
from pipelines.loading.batches import Batch, LandedRow
from pipelines.loading.events import store_events
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.observations import GROUPS, JIDS, PAIRS
from pipelines.loading.redelivered import forget_content
from pipelines.loading.rejections import REFUSALS, rejected_lines, rejected_payloads

Enter = Callable[[Sequence[LandedRow]], LoadCounts]


class ErasedMeanwhileError(WppLakeError):
    """The list of erasures has changed since a batch was read, which may show somebody who is to be forgotten."""


def _check_erasures(conn: Connection, batch: Batch) -> None:
    """Raise ErasedMeanwhileError unless a batch was read by the newest list of erasures that is known here."""
    (announced,) = conn.execute(query("erasure/announced")).fetchone() or (None,)
    known = batch.eraser.erasures.revision if batch.eraser is not None else None
    if announced and (known is None or known < announced):
        raise ErasedMeanwhileError("the list of erasures has changed while this load was reading: load again")


@contextmanager
def exclusive_transaction(conn: Connection) -> Iterator[None]:
    """Begin a transaction beside which no load changes anything: nobody can be quicker, nothing can deadlock."""
    with conn.transaction():
        conn.execute(query("load/lock_people"))
        conn.execute(query("load/lock_events_alone"))
        yield


def store(conn: Connection, batch: Batch, enter: Enter) -> LoadCounts:
    """Store a batch, without the lines that Postgres rejects: those are put aside.

    Storing observations can be repeated at will: they are folded, not counted. `enter` gets the lines that brought
    events which were not known before, and writes what else belongs into the transaction of the events. Raises one of
    `load.RACES`.
    """
    forget_content(conn, batch)
    batch.refuse(rejected_payloads(conn, [each for each in batch.loadable if each.row.doubtful]))
    while True:
        store_observations(conn, batch)
        try:
            return _store_events(conn, batch, enter)
        except REFUSALS:
            rejected = rejected_payloads(conn, batch.loadable) or rejected_lines(conn, batch.loadable)
            if not rejected:
                raise
            batch.refuse(rejected)


def _store_events(conn: Connection, batch: Batch, enter: Enter) -> LoadCounts:
    with _clean_transaction(conn):
        conn.execute(query("load/lock_events"))
        _check_erasures(conn, batch)
        new = store_events(conn, batch.loadable)
        counts = enter(new)
        dates = {each.row.received_at.astimezone(UTC).date() for each in new}
        conn.execute(query("load/days"), {"dates": list(dates)})
        return counts


def store_observations(conn: Connection, batch: Batch) -> None:
    """Store what a batch shows of people and groups, in a transaction; one batch at a time does so."""
    seen = batch.seen or batch.observe()
    with _clean_transaction(conn):
        binary_copy.copy(conn, "staged_jids", JIDS, seen.jid_rows())
        binary_copy.copy(conn, "staged_pairs", PAIRS, seen.pair_rows())
        binary_copy.copy(conn, "staged_groups", GROUPS, seen.group_rows())
        conn.execute(query("load/analyze_observations"))
        conn.execute(query("load/lock_people"))
        _check_erasures(conn, batch)
        run_steps(conn, "observations")
        conn.execute(query("load/days"), {"dates": []})
        if seen.people or seen.groups:
            conn.execute(query("load/state"))


@contextmanager
def _clean_transaction(conn: Connection) -> Iterator[None]:
    """Begin a transaction without anything staged: a commit clears that, but not the end of a rebuild's batch."""
    nested = conn.info.transaction_status is TransactionStatus.INTRANS
    with conn.transaction():
        if nested:
            conn.execute(query("load/clear_staging"))
        yield
