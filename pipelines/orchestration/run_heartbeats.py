"""Shows which runs are at work, on whichever host, and ends those whose process is silent: it was killed.

Belongs here: a run's heartbeat, and what becomes of a run without one. Not: when it is looked at (sensors), the
heartbeat of the whole lake (heartbeat). docs/adr/0042 has why it is a row.
"""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

import dagster as dg
import psycopg

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.orchestration.resources import Lake
from pipelines.settings import LakeSettings

BEAT_SECONDS = 10
DEAD = "Its process on {} is silent: it was killed, or its machine stopped. Its work is done again by another run."

_log = logging.getLogger(__name__)


@contextmanager
def beating(run_id: str) -> Iterator[None]:
    """Show, as long as the block lasts, that this process does the run's work. Raises SettingsError."""
    ended = Event()
    beats = Thread(target=_beat, args=(Lake().settings(), run_id, ended), name="run-heartbeat", daemon=True)
    beats.start()
    try:
        yield
    finally:
        ended.set()
        beats.join()


def _beat(settings: LakeSettings, run_id: str, ended: Event) -> None:
    """Beat over a connection of its own, and over another one after an error, until the run has ended."""
    told = {"run": run_id, "host": socket.gethostname()}
    while True:
        try:
            # An answer that the network has lost isn't waited for: the next connection may do better.
            with psycopg.connect(
                settings.conninfo, autocommit=True, connect_timeout=BEAT_SECONDS, tcp_user_timeout=1000 * BEAT_SECONDS
            ) as conn:
                conn.execute(query("run_heartbeats/beat"), told)
                while not ended.wait(BEAT_SECONDS):
                    conn.execute(query("run_heartbeats/beat"), told)
                conn.execute(query("run_heartbeats/over"), told)
        except psycopg.Error as error:
            _log.warning("no heartbeat: %s", type(error).__name__)
        if ended.wait(BEAT_SECONDS):
            return


def fail_silent_runs(instance: dg.DagsterInstance, conn: Connection) -> None:
    """End the started runs that have been silent for so long that their processes are taken for dead.

    One that only slept is in no danger: loads and snapshots are idempotent, and it ends as what it comes to.
    """
    started = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
    if not (runs := [run.run_id for run in instance.get_runs(started)]):
        return
    for run_id, host in conn.execute(query("run_heartbeats/silent"), {"runs": runs}).fetchall():
        now = instance.get_run_by_id(run_id)  # it may have ended since
        if now and now.status == dg.DagsterRunStatus.STARTED:
            instance.report_run_failed(now, DEAD.format(host or "an unknown host"))
        conn.execute(query("run_heartbeats/over"), {"run": run_id})
