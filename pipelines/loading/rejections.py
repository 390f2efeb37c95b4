"""Finds the lines of a batch that PostgreSQL rejects, so that the others can be stored.

Belongs here: which errors of PostgreSQL are a line's fault, and the search for that line. Not: what a parser rejects
before (parsing).
"""

from collections.abc import Callable, Sequence

import psycopg
from psycopg import errors

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.loading.batches import LandedRow
from pipelines.loading.events import store_events

# What Postgres answers when it can't store a value (classes 22, 54 and XX), as against when it can't work.
REFUSALS = (psycopg.DataError, errors.ProgramLimitExceeded, errors.StatementTooComplex, errors.InternalError_)
# Of class XX only what these sources raise is a value's fault: a size that is never allocated, a trigger's refusal.
# Anything else is Postgres' own, such as a file that a quota lets not grow. Sources have names, messages a language.
REFUSING_SOURCES = {"mcxt.c", "pl_exec.c"}

Attempt = Callable[[Connection, Sequence[LandedRow]], dict[LandedRow, str]]


def rejected_payloads(conn: Connection, lines: Sequence[LandedRow]) -> dict[LandedRow, str]:
    """Return the lines whose payload jsonb rejects, each with what Postgres said."""
    return _rejected(conn, lines, _ask_jsonb)


def rejected_lines(conn: Connection, lines: Sequence[LandedRow]) -> dict[LandedRow, str]:
    """Return the lines that can't be stored, each with what Postgres said; storing is tried and rolled back."""
    return _rejected(conn, lines, _try_to_store)


def _ask_jsonb(conn: Connection, lines: Sequence[LandedRow]) -> dict[LandedRow, str]:
    """Ask for all payloads at once which of them jsonb rejects, and why."""
    payloads = {"payloads": [bytes(each.row.payload).decode() for each in lines]}
    return {lines[place - 1]: fault for place, fault in conn.execute(query("load/refused_payloads"), payloads)}


def _try_to_store(conn: Connection, lines: Sequence[LandedRow]) -> dict[LandedRow, str]:
    conn.execute(query("load/lock_events"))
    store_events(conn, lines)
    return {}


def _rejected(conn: Connection, lines: Sequence[LandedRow], attempt: Attempt) -> dict[LandedRow, str]:
    """Attempt all lines at once; where that fails, halve them until each line that makes it fail stands alone."""
    rejected: dict[LandedRow, str] = {}
    waiting = [lines] if lines else []
    while waiting:
        part = waiting.pop()
        try:
            with conn.transaction(force_rollback=True):
                rejected |= attempt(conn, part)
        except REFUSALS as error:
            if isinstance(error, errors.InternalError_) and error.diag.source_file not in REFUSING_SOURCES:
                raise
            if len(part) == 1:
                rejected[part[0]] = f"{error.sqlstate} {error.diag.message_primary}"
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
    return rejected
