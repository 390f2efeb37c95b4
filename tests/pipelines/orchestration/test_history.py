"""What a prune deletes from Dagster's storage, a real one in PostgreSQL, and what it must not."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import psycopg
import pytest
from factories import RECEIVED, event, line
from lake import Lake
from project import ROOT
from psycopg import sql

from devstack.postgres import Postgres
from devstack.stack import Plan, Stack
from devstack.state import State
from devstack.waiting import wait_until
from pipelines.db.connection import Connection
from pipelines.orchestration import history, runs
from pipelines.orchestration.definitions import defs
from pipelines.orchestration.history import Pruned, prune
from pipelines.orchestration.schedules import SCHEDULES

OLD, YOUNG = timedelta(days=31), timedelta(days=29)
MONTH = timedelta(days=30)
# Every table of Dagster's that a run leaves something in, by the run's id.
LEFT = """
    select (select count(*) from runs where run_id = %(run)s),
           (select count(*) from run_tags where run_id = %(run)s),
           (select count(*) from event_logs where run_id = %(run)s),
           (select count(*) from asset_check_executions where run_id = %(run)s),
           (select count(*) from asset_event_tags where event_id not in (select id from event_logs))"""
AGE = """
    update runs
    set update_timestamp = update_timestamp - %(age)s, create_timestamp = create_timestamp - %(age)s,
        start_time = start_time - extract(epoch from %(age)s), end_time = end_time - extract(epoch from %(age)s)
    where run_id = any(%(runs)s)"""


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["one", "two"]))
def parts() -> dg.MaterializeResult[Any]:
    print("said by a run")  # noqa: T201  so that its log isn't empty
    return dg.MaterializeResult()


@dg.asset
def whole() -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult()


@dg.asset_check(asset=whole)
def sound() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset(key="whole")
def watching(context: dg.AssetExecutionContext) -> dg.MaterializeResult[Any]:
    context.log_event(dg.AssetObservation("elsewhere"))
    return dg.MaterializeResult()


@dg.asset(key="whole")
def broken() -> dg.MaterializeResult[Any]:
    raise ValueError("as it should")


SOUND = dg.AssetCheckKey(dg.AssetKey("whole"), "sound")


@pytest.fixture(scope="session")
def dagster_template(postgres_server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the name of a database that has Dagster's tables and nothing in them."""
    postgres_server.create_databases(["dagster_template"])
    home = tmp_path_factory.mktemp("dagster")
    with pytest.MonkeyPatch.context() as patch:
        use_storage(patch, home, postgres_server.url("dagster_template"))
        dg.DagsterInstance.get().dispose()
    return "dagster_template"


def use_storage(patch: pytest.MonkeyPatch, home: Path, url: str) -> None:
    """Give this process, and those that it starts, a Dagster of the project's own settings."""
    (home / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    patch.setenv("DAGSTER_HOME", str(home))
    patch.setenv("DAGSTER_POSTGRES_URL", url.replace("postgresql:", "postgresql+psycopg2:"))


@pytest.fixture
def storage(
    postgres_server: Postgres, dagster_template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connection]:
    """Make a storage for Dagster, of the test's own, and connect to its database."""
    names = [sql.Identifier(f"dagster_{uuid.uuid4().hex[:12]}"), sql.Identifier(dagster_template)]
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as server:
        server.execute(sql.SQL("create database {} template {} strategy file_copy").format(*names))
        url = postgres_server.url(names[0].as_string().strip('"'))
        use_storage(monkeypatch, tmp_path, url)
        with psycopg.connect(url, autocommit=True) as connection:
            yield connection
        server.execute(sql.SQL("drop database {} with (force)").format(names[0]))


@pytest.fixture
def instance(storage: Connection) -> Iterator[dg.DagsterInstance]:  # noqa: ARG001  it sets the environment
    """Open the Dagster instance of that storage."""
    with dg.DagsterInstance.get() as instance:
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=-1, max_overflow=5)
        yield instance


def run(instance: dg.DagsterInstance, *assets: Any, partition: str | None = None) -> str:
    """Materialize assets, and evaluate checks, in one run; return its id."""
    result = dg.materialize(assets, instance=instance, partition_key=partition, raise_on_error=False)
    return result.run_id


def left(storage: Connection, run_id: str) -> tuple[Any, ...] | None:
    """Return how much is left of a run: rows of its own, tags, events, evaluations; tags of events that are gone."""
    return storage.execute(LEFT, {"run": run_id}).fetchone()


def run_ids(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.get_run_ids())


def make_older(storage: Connection, *run_ids: str, age: timedelta = OLD) -> None:
    """Move runs back in time."""
    storage.execute(AGE, {"runs": list(run_ids), "age": age})


def history_left(storage: Connection, instance: dg.DagsterInstance) -> tuple[set[str], set[str], set[str]]:
    """Return whose the runs, the events and the folders are that there are."""
    owners = {run_id for (run_id,) in storage.execute("select distinct run_id from event_logs").fetchall()}
    return run_ids(instance), owners, {path.name for path in Path(instance.storage_directory()).iterdir()}


def test_a_superseded_load_goes_with_its_events_and_its_folder(
    lake: Lake, storage: Connection, instance: dg.DagsterInstance
) -> None:
    for n in (1, 2):
        lake.land(line(event(), n))
        runs.run_load()
    newest, oldest = instance.get_run_ids()
    before = left(storage, newest)
    assert prune(instance, timedelta(0)) == Pruned(runs=1, kept=1)
    assert left(storage, oldest) == (0, 0, 0, 0, 0)
    assert left(storage, newest) == before == (1, 4, 29, 6, 0)
    assert history_left(storage, instance) == ({newest}, {newest}, {newest})
    assert lake.rows("select count(*) from whatsapp_events") == [(2,)]


def test_a_load_of_two_hours_stays_until_both_have_a_newer_one(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its last event is superseded, and its events are read a few at a time."""
    monkeypatch.setattr(history, "AT_ONCE", 2)
    hours = [RECEIVED, RECEIVED + timedelta(hours=1)]
    for n, loaded in enumerate([hours, hours[1:], hours[:1]]):
        for hour in loaded:
            lake.land(line(event(), n, hour), at=hour)
        runs.run_load()
        if n == 1:
            assert prune(instance, timedelta(0)) == Pruned(kept=2)
    assert prune(instance, timedelta(0)) == Pruned(runs=1, kept=2)
    partitions = instance.get_materialized_partitions(dg.AssetKey(["tables", "whatsapp_events"]))
    assert partitions == {"2026-05-21-04:00", "2026-05-21-05:00"}


@pytest.mark.parametrize("at_once", [1, 2])
def test_the_newest_run_of_each_partition_stays(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """However many runs are looked at in one go, and whether the last of them stays or goes."""
    monkeypatch.setattr(history, "AT_ONCE", at_once)
    materialized = [run(instance, parts, partition=key) for key in ("one", "two", "one", "one", "two", "one")]
    assert prune(instance, timedelta(0)) == Pruned(runs=4, log_bytes=4 * 14, kept=2)
    assert run_ids(instance) == set(materialized[4:])
    assert instance.get_materialized_partitions(parts.key) == {"one", "two"}


def test_a_second_prune_deletes_nothing_more(storage: Connection, instance: dg.DagsterInstance) -> None:
    for _ in range(2):
        run(instance, parts, partition="one")
    prune(instance, timedelta(0))
    before = history_left(storage, instance)
    assert prune(instance, timedelta(0)) == Pruned(kept=1)
    assert history_left(storage, instance) == before


def test_the_newest_materialization_and_the_newest_evaluation_stay(instance: dg.DagsterInstance) -> None:
    """Of an asset without partitions; they may be of two runs."""
    checked, alone = run(instance, whole, sound), run(instance, whole)
    assert prune(instance, timedelta(0)) == Pruned(kept=2)
    newest = run(instance, whole, sound)
    assert prune(instance, timedelta(0)) == Pruned(runs=2, kept=1)
    assert run_ids(instance).isdisjoint({checked, alone})
    materialization = instance.get_latest_materialization_event(whole.key)
    evaluation = instance.event_log_storage.get_latest_asset_check_execution_by_key([SOUND])[SOUND]
    assert materialization
    assert (materialization.run_id, evaluation.run_id, evaluation.status.value) == (newest, newest, "SUCCEEDED")


def test_a_failed_run_takes_the_check_with_it_that_it_never_made(instance: dg.DagsterInstance) -> None:
    """Else the check would show as skipped, by a run that is gone."""
    checked, failed = run(instance, whole, sound), run(instance, broken, sound)
    planned = instance.event_log_storage.get_latest_asset_check_execution_by_key([SOUND])[SOUND]
    assert (planned.run_id, planned.status.value) == (failed, "PLANNED")
    prune(instance, timedelta(0))
    assert run_ids(instance) == {checked}
    evaluation = instance.event_log_storage.get_latest_asset_check_execution_by_key([SOUND])[SOUND]
    assert (evaluation.run_id, evaluation.status.value) == (checked, "SUCCEEDED")


def test_the_newest_observation_stays(instance: dg.DagsterInstance) -> None:
    observed = run(instance, watching)
    newest = run(instance, whole)
    run(instance, whole)
    assert prune(instance, timedelta(0)) == Pruned(runs=1, kept=2)
    assert observed in run_ids(instance)
    assert newest not in run_ids(instance)


@pytest.mark.parametrize("status", ["QUEUED", "NOT_STARTED", "STARTING", "STARTED", "CANCELING"])
def test_a_run_that_has_not_ended_stays_however_old(
    storage: Connection, instance: dg.DagsterInstance, status: str
) -> None:
    unfinished = instance.create_run_for_job(defs.resolve_job_def("load")).run_id
    storage.execute("update runs set status = %s", [status])
    make_older(storage, unfinished)
    assert prune(instance, MONTH) == Pruned()
    assert run_ids(instance) == {unfinished}


def test_a_run_stays_until_its_end_is_so_long_ago(storage: Connection, instance: dg.DagsterInstance) -> None:
    old, young, _ = materialized = [run(instance, parts, partition="one") for _ in range(3)]
    make_older(storage, old)
    make_older(storage, young, age=YOUNG)
    assert prune(instance, MONTH) == Pruned(runs=1, log_bytes=14)
    assert run_ids(instance) == set(materialized[1:])


def test_of_events_without_a_run_the_newest_stay(storage: Connection, instance: dg.DagsterInstance) -> None:
    reported: list[Any] = [
        *(dg.AssetMaterialization("parts", partition=key) for key in ("one", "two", "one")),
        *(dg.AssetMaterialization("whole") for _ in range(2)),
        *(dg.AssetObservation("whole") for _ in range(2)),
        *(dg.AssetCheckEvaluation(check_name="sound", passed=True, asset_key=whole.key) for _ in range(2)),
        *(
            dg.AssetCheckEvaluation(check_name="sound", passed=True, asset_key=whole.key, partition=key)
            for key in ("one", "two")
        ),
    ]
    for each in reported:
        instance.report_runless_asset_event(each)
    ids = [event_id for (event_id,) in storage.execute("select id from event_logs order by id").fetchall()]
    assert prune(instance, MONTH) == Pruned()
    assert prune(instance, timedelta(0)) == Pruned(runless=4)
    assert storage.execute("select array_agg(id order by id) from event_logs").fetchone() == (
        [ids[n] for n in (1, 2, 4, 6, 8, 9, 10)],
    )
    assert storage.execute(
        "select array_agg(evaluation_event_storage_id order by id) from asset_check_executions"
    ).fetchone() == ([ids[n] for n in (8, 9, 10)],)
    assert instance.get_materialized_partitions(parts.key) == {"one", "two"}


def test_an_event_without_a_run_supersedes_one_of_a_run_and_the_reverse(
    storage: Connection, instance: dg.DagsterInstance
) -> None:
    run(instance, parts, partition="one")
    for key in ("one", "two"):
        instance.report_runless_asset_event(dg.AssetMaterialization("parts", partition=key))
    newest = run(instance, parts, partition="two")
    assert prune(instance, timedelta(0)) == Pruned(runs=1, log_bytes=14, kept=1, runless=1)
    assert history_left(storage, instance) == ({newest}, {newest, ""}, {newest})
    assert instance.get_materialized_partitions(parts.key) == {"one", "two"}


def test_a_storage_that_is_not_postgres_is_refused() -> None:
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(history.HistoryError, match="not PostgreSQL"):
        prune(instance, MONTH)


# --- the command and the job


@pytest.fixture
def lakeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Name a lake that isn't there: a prune needs none."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://127.0.0.1:1/nothing")


def prune_command(**environment: str) -> "subprocess.Popen[str]":
    """Start `wpp-lake prune`."""
    command = [sys.executable, "-m", "pipelines.cli", "prune"]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.usefixtures("lakeless")
def test_the_command_says_in_one_line_what_it_deleted(storage: Connection, instance: dg.DagsterInstance) -> None:
    old = [run(instance, parts, partition="one") for _ in range(3)]
    make_older(storage, *old)
    with prune_command() as command:
        assert command.communicate()[0] == (
            "2 runs with 28 bytes of logs deleted, 1 kept as the newest of a partition or check, "
            "0 events without a run deleted\n"
        )
    assert command.returncode == 0
    assert run_ids(instance) == {old[-1]}


def test_a_prune_by_hand_follows_the_setting_that_the_stack_was_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RUN_HISTORY_DAYS", "90")
    stack = Stack(Plan(tmp_path), State.load(tmp_path, frozenset()), (), ())
    assert (stack.environment["RUN_HISTORY_DAYS"], stack.pipelines_environment["RUN_HISTORY_DAYS"]) == ("90", "90")


@pytest.mark.usefixtures("lakeless")
def test_a_history_of_no_days_is_refused(instance: dg.DagsterInstance) -> None:
    with prune_command(RUN_HISTORY_DAYS="0") as command:
        assert command.communicate()[1].startswith("wpp-lake: settings: RUN_HISTORY_DAYS: ")
    assert command.returncode == 1
    assert run_ids(instance) == set()


@pytest.mark.usefixtures("lakeless")
@pytest.mark.parametrize(("days", "stay"), [("", 1), ("31", 1), ("32", 2)])
def test_the_job_deletes_what_is_older_than_the_setting(
    storage: Connection, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, days: str, stay: int
) -> None:
    old = [run(instance, parts, partition="one") for _ in range(2)]
    make_older(storage, *old)
    monkeypatch.setenv("RUN_HISTORY_DAYS", days)
    done = defs.resolve_job_def("prune").execute_in_process(instance=instance)
    assert done.success
    assert run_ids(instance) == {*old[2 - stay :], done.run_id}


def test_the_job_runs_every_night() -> None:
    (nightly_prune,) = (each for each in SCHEDULES if each.name == "nightly_prune")
    assert nightly_prune in list(defs.schedules or [])
    assert (nightly_prune.job_name, nightly_prune.cron_schedule, nightly_prune.execution_timezone) == (
        "prune",
        "40 3 * * *",
        "UTC",
    )
    assert nightly_prune.default_status is dg.DefaultScheduleStatus.RUNNING


# --- prunes that are killed, and prunes that meet


@pytest.fixture
def hold(storage: Connection) -> Iterator[Callable[[str, str], Connection]]:
    """Give what locks a run's rows of a table, so that a prune waits there; the lock ends with the session."""
    with psycopg.connect(storage.info.dsn, password=storage.info.password) as session:

        def lock(table: str, run_id: str) -> Connection:
            rows = sql.SQL("select from {} where run_id = {} for update")
            session.execute(rows.format(sql.Identifier(table), run_id))
            return session

        yield lock


def wait_for_waits(storage: Connection, sessions: int) -> None:
    """Return when so many sessions wait for a lock."""
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"

    def check() -> None:
        assert storage.execute(waiting).fetchone() == (sessions,)

    wait_until(check, "a prune that waits")


def end_waiting_sessions(storage: Connection) -> None:
    """End the sessions whose clients were killed while they waited: once let go they would finish their statement."""
    storage.execute(
        """select pg_terminate_backend(pid, 10000) from pg_stat_activity
           where datname = current_database() and wait_event_type = 'Lock'"""
    )


@pytest.mark.usefixtures("lakeless")
@pytest.mark.parametrize(
    ("table", "found"),
    [
        ("event_logs", (False, (1, 0, 17, 0, 0))),
        ("runs", (False, (1, 0, 0, 0, 0))),
    ],
)
def test_a_prune_that_is_killed_leaves_a_run_that_the_next_one_finds(
    storage: Connection,
    instance: dg.DagsterInstance,
    hold: Callable[[str, str], Connection],
    table: str,
    found: tuple[bool, tuple[int, ...]],
) -> None:
    old, newest = run(instance, whole, sound), run(instance, whole, sound)
    make_older(storage, old, newest)
    folder = Path(instance.storage_directory(), old)
    session = hold(table, old)
    with prune_command() as command:
        wait_for_waits(storage, 1)
        command.kill()
    assert command.returncode == -signal.SIGKILL
    end_waiting_sessions(storage)
    session.rollback()
    assert (folder.exists(), left(storage, old)) == found
    assert prune(instance, MONTH) == Pruned(runs=1, kept=1)
    assert left(storage, old) == (0, 0, 0, 0, 0)
    assert history_left(storage, instance) == ({newest}, {newest}, {newest})


@pytest.mark.usefixtures("lakeless")
def test_two_prunes_at_once_disturb_neither_each_other_nor_a_load(
    lake: Lake, storage: Connection, instance: dg.DagsterInstance, hold: Callable[[str, str], Connection]
) -> None:
    *superseded, newest = old = [run(instance, parts, partition="one") for _ in range(5)]
    make_older(storage, *old)
    lake.land(line(event()))
    session = hold("runs", min(superseded))
    with prune_command() as one, prune_command() as other:
        wait_for_waits(storage, 2)
        assert runs.run_load().loaded == 1
        session.rollback()
        said = [one.communicate()[0], other.communicate()[0]]
    assert (one.returncode, other.returncode) == (0, 0)
    assert [text.split(",")[1] for text in said] == [" 1 kept as the newest of a partition or check"] * 2
    [loaded] = run_ids(instance) - {newest}
    assert history_left(storage, instance) == ({newest, loaded},) * 3
