"""A run whose process is gone ends as failed, on whichever host that was; one that lives never does."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from factories import RECEIVED, event, line
from lake import Lake
from project import ROOT

from devstack.waiting import wait_until
from pipelines.landing.hours import hour_key
from pipelines.orchestration import definitions
from pipelines.orchestration import run_heartbeats as heartbeats
from pipelines.orchestration.partitions import RANGE_START, range_tags
from pipelines.orchestration.resources import Lake as LakeParts
from pipelines.orchestration.run_heartbeats import beating, fail_silent_runs
from pipelines.orchestration.sensors import new_landing_files

HOUR = RECEIVED.replace(minute=0, second=0, microsecond=0)
AT_WORK = """
from pipelines.orchestration.run_heartbeats import beating
with beating({run!r}):
    input()
"""


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have loads asked for at every tick."""
    monkeypatch.setenv("LOAD_SECONDS", "0")


def run_of(instance: dg.DagsterInstance, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> dg.DagsterRun:
    """Make a run of the hour."""
    job = definitions.defs.resolve_job_def("load")
    return instance.create_run_for_job(job, status=status, tags=range_tags(HOUR, HOUR))


def tick(instance: dg.DagsterInstance) -> list[str]:
    """Return the first hours of the loads that a tick of the sensor asks for."""
    outcome: Any = new_landing_files(dg.build_sensor_context(instance=instance), lake=LakeParts())
    return [request.tags[RANGE_START] for request in outcome.run_requests]


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    """Return the status that a run has now."""
    now = instance.get_run_by_id(run.run_id)
    assert now
    return now.status


def later(lake: Lake, seconds: int) -> None:
    """Let so many seconds pass for all that the table has."""
    lake.connection.execute(
        "update run_heartbeats set beaten_at = beaten_at - %(passed)s, silent_since = silent_since - %(passed)s",
        {"passed": timedelta(seconds=seconds)},
    )


def heard(lake: Lake, run: dg.DagsterRun) -> bool:
    """Tell whether the run has beaten, and isn't suspected of anything since."""
    found = lake.connection.execute(
        "select 1 from run_heartbeats where run_id = %s and host is not null and silent_since is null"
        " and beaten_at > clock_timestamp() - interval '20 seconds'",
        [run.run_id],
    )
    return found.fetchone() is not None


def wait_for_beat(lake: Lake, run: dg.DagsterRun) -> None:
    """Return once the run has beaten."""

    def check() -> None:
        assert heard(lake, run)

    wait_until(check, "a heartbeat")


@contextmanager
def process_of(lake: Lake, run: dg.DagsterRun) -> Iterator[subprocess.Popen[bytes]]:
    """Have a process do the run's work until the block ends."""
    command = [sys.executable, "-c", AT_WORK.format(run=run.run_id)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE) as process:
        wait_for_beat(lake, run)
        yield process
        process.kill()


def test_a_run_whose_process_was_killed_ends_as_failed_and_its_hours_are_asked_for(
    lake: Lake, instance: dg.DagsterInstance
) -> None:
    """Within two minutes: 10 s between beats, 20 s until a tick wonders, a minute more, and a tick each 15 s."""
    lake.land(line(event()))
    run = run_of(instance)
    with process_of(lake, run):
        assert tick(instance) == []
    later(lake, 21)
    assert tick(instance) == []
    later(lake, 59)
    assert tick(instance) == []
    assert status_of(instance, run) is dg.DagsterRunStatus.STARTED
    later(lake, 1)
    assert tick(instance) == [hour_key(HOUR)]
    assert status_of(instance, run) is dg.DagsterRunStatus.FAILURE
    assert lake.rows("select count(*) from run_heartbeats") == [(0,)]


def test_a_run_that_was_killed_before_its_first_beat_ends_too(lake: Lake, instance: dg.DagsterInstance) -> None:
    run = run_of(instance)
    for seconds in (21, 61):
        tick(instance)
        assert status_of(instance, run) is dg.DagsterRunStatus.STARTED
        later(lake, seconds)
    tick(instance)
    assert status_of(instance, run) is dg.DagsterRunStatus.FAILURE


def test_a_run_is_not_ended_for_a_time_in_which_nobody_could_beat(lake: Lake, instance: dg.DagsterInstance) -> None:
    """The database didn't answer, or everything slept: the first look after it finds old beats, and ends nothing."""
    run = run_of(instance)
    with beating(run.run_id):
        wait_for_beat(lake, run)
        later(lake, 3600)
        fail_silent_runs(instance, lake.connection)
        assert status_of(instance, run) is dg.DagsterRunStatus.STARTED


def test_a_run_beats_again_after_a_lost_connection_and_is_above_suspicion(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "BEAT_SECONDS", 1)
    run = run_of(instance)
    with beating(run.run_id):
        wait_for_beat(lake, run)
        lake.connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where pid <> pg_backend_pid() and datname = current_database()"
        )
        later(lake, 30)
        fail_silent_runs(instance, lake.connection)
        wait_for_beat(lake, run)
        later(lake, 61)
        fail_silent_runs(instance, lake.connection)
    assert status_of(instance, run) is dg.DagsterRunStatus.STARTED


def test_a_run_that_ended_leaves_nothing(lake: Lake, instance: dg.DagsterInstance) -> None:
    with beating(run_of(instance).run_id):
        pass
    assert lake.rows("select count(*) from run_heartbeats") == [(0,)]


def test_a_run_that_only_slept_ends_as_what_it_comes_to(lake: Lake, instance: dg.DagsterInstance) -> None:
    """It was taken for dead, which nobody told it: its work is whole, and harmless."""
    lake.land(line(event()))

    @dg.op
    def sleeping(context: dg.OpExecutionContext) -> None:
        run = context.instance.get_run_by_id(context.run_id)
        assert run
        context.instance.report_run_failed(run, "taken for dead")
        lake.load()

    @dg.job
    def work() -> None:
        sleeping()

    result = work.execute_in_process(instance=instance)
    assert status_of(instance, result.dagster_run) is dg.DagsterRunStatus.SUCCESS
    assert lake.rows("select deliveries from whatsapp_events") == [(1,)]


def test_a_load_at_work_forgets_its_hour_whatever_ticks_see_meanwhile(lake: Lake, instance: dg.DagsterInstance) -> None:
    """Else each hour of a backlog would be asked for twice: a tick notes anew what nobody has taken."""
    note = "select noted_at from pending_hours"
    lake.land(line(event()))
    assert tick(instance) == [hour_key(HOUR)]
    noted = lake.rows(note)
    assert tick(instance) == [hour_key(HOUR)]
    assert (again := lake.rows(note)) != noted
    run_of(instance)
    assert tick(instance) == []
    assert lake.rows(note) == again


STARTED, STARTING = dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING


@pytest.mark.parametrize(
    ("status", "age", "asks"),
    [(STARTED, 0, False), (STARTED, 60, False), (STARTING, 4, False), (STARTING, 6, True)],
)
def test_the_sensor_asks_for_no_hour_that_is_on_its_way(
    lake: Lake, instance: dg.DagsterInstance, status: Any, age: int, *, asks: bool
) -> None:
    """However long that takes, but for a run that was killed before it began. It asks for others meanwhile."""
    lake.land(line(event(), 1))
    other = RECEIVED + timedelta(hours=2)
    lake.land(line(event(), 2), at=other)
    run = run_of(instance, status)
    with sqlite3.connect(Path(instance.root_directory) / "history" / "runs.db") as storage:
        moment = (datetime.now(UTC) - timedelta(minutes=age)).strftime("%Y-%m-%d %H:%M:%S.%f")
        storage.execute(
            "update runs set create_timestamp = ?, update_timestamp = ? where run_id = ?", [moment, moment, run.run_id]
        )
    storage.close()
    assert tick(instance) == [*([hour_key(HOUR)] if asks else []), "2026-05-21-06:00"]
