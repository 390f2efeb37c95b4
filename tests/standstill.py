"""Loads brought to a standstill at a chosen point, so that a test decides what happens meanwhile.

Belongs here: what holds a load up, and seeing that it waits. Not: what is loaded, what is expected.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from lake import Lake

from devstack.waiting import wait_until
from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.loading.load import load

Sentence = Callable[[Connection], Any]

_WAITING = """
    select count(*) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'"""


@contextmanager
def session(lake: Lake) -> Iterator[Connection]:
    """Open another session of the lake's database."""
    with psycopg.connect(lake.settings.conninfo, autocommit=True) as conn:
        yield conn


@contextmanager
def in_sessions(lake: Lake) -> Iterator[Callable[[Sentence], "Future[Any]"]]:
    """Give what runs each sentence beside the test, in a session of its own."""

    def run(sentence: Sentence) -> Any:
        with session(lake) as conn:
            return sentence(conn)

    with ThreadPoolExecutor(8) as pool:
        yield lambda sentence: pool.submit(run, sentence)


def loads(lake: Lake, *hours: datetime) -> Sentence:
    """Return the sentence of a load of these hours."""
    return lambda conn: load(conn, lake.zone, hours, "beside")


def wait_for_waits(lake: Lake, sessions: int = 1) -> None:
    """Return when so many sessions wait for a lock."""
    _wait(lake, lambda waiting: waiting == sessions)


def wait_for_an_end_or_waits(lake: Lake, ending: "Future[Any]", sessions: int = 1) -> None:
    """Return when the sentence has ended, or so many sessions wait for a lock."""
    _wait(lake, lambda waiting: ending.done() or waiting == sessions)


def _wait(lake: Lake, enough: Callable[[int], bool]) -> None:
    def check() -> None:
        [(waiting,)] = conn.execute(_WAITING).fetchall()
        assert enough(waiting), f"{waiting} sessions wait"

    with session(lake) as conn:  # of its own: within a transaction nobody is seen to move
        wait_until(check, "a standstill")


@contextmanager
def events_held(lake: Lake) -> Iterator[Connection]:
    """Hold all loads up that have stored people and groups, and not yet events. Gives the session that may go on."""
    with session(lake) as conn, conn.transaction():
        conn.execute(query("load/lock_events_alone"))
        yield conn


@contextmanager
def ledger_held(lake: Lake, key: str) -> Iterator[None]:
    """Hold the load of this file up when its events are stored, before it enters the file and commits."""
    with session(lake) as conn, conn.transaction(force_rollback=True):
        conn.execute(
            "insert into landing_files (key, size, lines, loaded, duplicates, quarantined) values (%s, 0, 0, 0, 0, 0)",
            [key],
        )
        yield


@contextmanager
def event_held(lake: Lake, event_id: str) -> Iterator[None]:
    """Hold loads up that are about to add this event."""
    with session(lake) as conn, conn.transaction(force_rollback=True):
        conn.execute(
            """insert into whatsapp_events
                   (event_id, type, received_at, last_received_at, deliveries, payload, payload_sanitized,
                    body_sha256, body_received_at, undecrypted, landing_key, landing_line)
               values (%s, '', now(), now(), 1, 'null', false, '', now(), false, '', 1)""",
            [event_id],
        )
        yield
