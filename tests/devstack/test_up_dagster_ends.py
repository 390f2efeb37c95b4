"""How `wpp-lake up` ends with Dagster in it: stopped beside a load that hangs, and killed."""

import signal
from pathlib import Path

import psycopg
import pytest
from stack_process import Running, deliver, running, runs, wait_for

pytestmark = pytest.mark.stack


def test_a_stop_does_not_wait_for_a_load_that_hangs(tmp_path: Path) -> None:
    """SIGTERM exits 0 and ends everything, though the code server would wait for its run."""
    with running("up", tmp_path / "lake") as up:
        up.line("READY")
        with psycopg.connect(up.environment()["DATABASE_URL"], sslmode="prefer", autocommit=True) as connection:
            connection.execute("select pg_advisory_lock(7077061)")  # as a load that changes people and groups does
            deliver(up, "that nobody loads")
            wait_for(lambda: runs_wait(up, connection), "a run that waits")
            children = up.process.children(recursive=True)
            assert up.stop() == 0
    assert "dagster-code doesn't stop: killing it" in up.lines()
    wait_for(lambda: not any(map(runs, children)), "the end of all of it")


def runs_wait(up: Running, connection: psycopg.Connection) -> bool:
    """Tell whether a run has started, and somebody waits for an advisory lock."""
    waiting = connection.execute("select 1 from pg_locks where locktype = 'advisory' and not granted").fetchone()
    with psycopg.connect(up.environment()["DAGSTER_POSTGRES_URL"].replace("+psycopg2", "")) as dagster:
        started = dagster.execute("select 1 from runs where status = 'STARTED'").fetchone()
    return None not in (waiting, started)


def test_a_killed_up_takes_dagster_along(tmp_path: Path) -> None:
    """After SIGKILL of `up` each of its processes ends by itself."""
    with running("up", tmp_path / "lake", WHATSAPP_WEBHOOK_SECRET="given $HOME 'quoted'") as up:
        up.line("READY")
        assert up.environment()["WHATSAPP_WEBHOOK_SECRET"] == "given $HOME 'quoted'"
        children = up.process.children(recursive=True)
        assert up.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_for(lambda: not any(map(runs, children)), "the end of all of it")
