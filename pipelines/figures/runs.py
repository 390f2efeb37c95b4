"""Dagster's daemon and runs, as its storage has them; asked by SQL, for importing Dagster takes seconds.

Belongs here: Dagster's tables, whose names and columns are taken for granted. Not: its code (orchestration).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, TypedDict

import psycopg
from psycopg.rows import class_row

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.settings import LakeSettings


class FailedRun(TypedDict):
    """A run that failed; `is_over`: a later one of its job succeeded."""

    run_id: str
    job: str
    failed_at: datetime
    is_over: bool


class FailedCheck(TypedDict):
    """A check that failed: whether something is wrong then, or only to be looked at; and what it names first."""

    name: str
    is_error: bool
    first: str


class Reconciled(TypedDict):
    """The last run of `reconcile` that ended; `is_whole`: it got to its end, whatever it found."""

    run_id: str
    ended_at: datetime
    is_whole: bool
    failed: list[FailedCheck]


class History(NamedTuple):
    """The runs that failed within a day, the newest first, and the last comparison of the whole lake."""

    failed_runs: list[FailedRun]
    reconciled: Reconciled | None


def has_heartbeat(settings: LakeSettings) -> bool:
    """Tell whether Dagster's daemon has said of late that it lives."""
    with _storage(settings) as conn:
        return bool(conn.execute(query("daemon")).fetchall())


def history(settings: LakeSettings) -> History:
    """Return what is known of runs: nothing where no Dagster has ever used this storage."""
    with _storage(settings) as conn:
        try:
            failed = conn.cursor(row_factory=class_row(FailedRun)).execute(query("figures/failed_runs")).fetchall()
            last = conn.cursor(row_factory=class_row(Reconciled)).execute(query("figures/last_reconcile")).fetchone()
        except psycopg.errors.UndefinedTable:
            return History([], None)
        return History(failed, last)


@contextmanager
def _storage(settings: LakeSettings) -> Iterator[Connection]:
    """Connect to Dagster's storage, which SQLAlchemy's URL names."""
    url = settings.dagster_postgres_url.get_secret_value().replace("+psycopg2", "")
    with psycopg.connect(url, autocommit=True, connect_timeout=2) as conn:
        conn.execute(query("figures/quickly"))
        yield conn
