"""What the status says of the stack's processes, each of which is asked whatever it can be asked, and of the lake."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from command import wpp_lake
from factories import RECEIVED, event, line
from lake import Lake
from pydantic import SecretStr

from pipelines.cli.status import Listing, Status, collect, faults
from pipelines.loading.load import rebuild
from pipelines.loading.pending import note_hours
from pipelines.orchestration.code_server import SOCKET
from pipelines.parsing.extraction import RULES_VERSION
from pipelines.settings import LakeSettings
from pipelines.snapshots.write import write_snapshots


@pytest.fixture
def deaf() -> Iterator[str]:
    """Listen where nobody ever answers: the URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def ended() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_a_process_says_since_when_it_runs_and_how_often_it_was_started_again(lake: Lake, tmp_path: Path) -> None:
    """A record of before has neither."""
    recorded = [
        {"name": "s3", "pid": os.getpid(), "started": 1795842000.5, "restarts": 3},
        {"name": "postgres", "pid": os.getpid()},
    ]
    (tmp_path / "processes.json").write_text(json.dumps({"processes": recorded}))
    found = collect(lake.settings.model_copy(update={"wpp_lake_data_dir": tmp_path}))["processes"]
    assert [(each["started_at"], each["restarts"]) for each in found] == [
        (datetime(2026, 11, 28, 5, 0, 0, 500000, tzinfo=UTC), 3),
        (None, None),
    ]


def healthy(settings: LakeSettings, folder: Path, **pids: int) -> dict[str, bool]:
    """Return what the status says of recorded processes."""
    recorded = [{"name": name.replace("_", "-"), "pid": pid} for name, pid in pids.items()]
    (folder / "processes.json").write_text(json.dumps({"processes": recorded}))
    status = collect(settings.model_copy(update={"wpp_lake_data_dir": folder}))
    return {process["name"]: process["healthy"] for process in status["processes"]}


def test_servers_that_answer_are_healthy(lake: Lake, tmp_path: Path) -> None:
    assert healthy(lake.settings, tmp_path, postgres=os.getpid(), s3=os.getpid()) == {"postgres": True, "s3": True}


@pytest.mark.parametrize(("minutes_ago", "expected"), [(1, True), (10, False)])
def test_a_daemon_is_healthy_while_its_heart_beats(
    lake: Lake, tmp_path: Path, minutes_ago: int, *, expected: bool
) -> None:
    """In Dagster's own table, whose name and column are taken for granted here; `up` has the real one."""
    storage = SecretStr(lake.settings.conninfo.replace("postgresql:", "postgresql+psycopg2:"))
    settings = lake.settings.model_copy(update={"dagster_postgres_url": storage})
    lake.connection.execute("create table daemon_heartbeats (timestamp timestamp)")
    beat = "insert into daemon_heartbeats values (now() at time zone 'UTC' - make_interval(mins => %s))"
    lake.connection.execute(beat, [minutes_ago])
    assert healthy(settings, tmp_path, dagster_daemon=os.getpid()) == {"dagster-daemon": expected}


def test_a_process_that_has_ended_is_not_healthy(lake: Lake, tmp_path: Path, ended: int) -> None:
    assert healthy(lake.settings, tmp_path, postgres=ended, dagster_daemon=ended) == {
        "postgres": False,
        "dagster-daemon": False,
    }


def test_a_process_that_lives_and_does_not_answer_is_not_healthy(lake: Lake, tmp_path: Path, deaf: str) -> None:
    settings = lake.settings.model_copy(update={"wpp_lake_receiver_url": deaf, "wpp_lake_dagster_url": deaf})
    found = healthy(settings, tmp_path, receiver=os.getpid(), dagster_webserver=os.getpid())
    assert found == {"receiver": False, "dagster-webserver": False}


def test_a_code_server_that_is_not_there_or_says_nothing_is_not_healthy(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SOCKET).parent.mkdir()
    assert healthy(lake.settings, tmp_path, dagster_code=os.getpid()) == {"dagster-code": False}
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(SOCKET))
        server.listen()
        assert healthy(lake.settings, tmp_path, dagster_code=os.getpid()) == {"dagster-code": False}


@pytest.mark.parametrize(
    ("hangs", "told"), [("aws_endpoint_url_s3", ["counts", "snapshots"]), ("database_url", ["counts"])]
)
def test_what_hangs_is_left_out_and_told(lake: Lake, deaf: str, hangs: str, told: list[str]) -> None:
    """A server that takes connections and says nothing would make a load wait, and its retries, for minutes."""
    where = SecretStr(deaf.replace("http", "postgresql")) if hangs == "database_url" else deaf
    status = collect(lake.settings.model_copy(update={hangs: where}))
    assert ([error.partition(":")[0] for error in status["errors"]], status["counts"]) == (told, {})


def test_without_a_stack_there_are_no_processes(lake: Lake) -> None:
    assert collect(lake.settings)["processes"] == []


def test_tables_of_older_rules_are_told_until_they_are_rebuilt(lake: Lake) -> None:
    def told() -> tuple[dict[str, int], bool]:
        status = wpp_lake("status", "--json")
        return json.loads(status.stdout)["rules"], "rebuild" in status.stderr

    current = {"oldest": RULES_VERSION, "current": RULES_VERSION}
    assert told() == (current, False)
    lake.land(line(event()))
    lake.load()
    lake.connection.execute("update landing_files set rules = 1")
    assert told() == ({"oldest": 1, "current": RULES_VERSION}, True)
    rebuild(lake.connection, lake.zone, "rebuild")
    assert told() == (current, False)


def plain(lake: Lake) -> Status:
    """Gather what the screen shows."""
    return collect(lake.settings, listing=Listing.RECENT)


def test_a_file_that_waits_for_long_is_a_fault(lake: Lake) -> None:
    """One of a recent hour as its name says, one of an older hour since that was noted, also for a check."""
    key = f"whatsapp/date={RECEIVED:%Y-%m-%d}/hour=04/old.jsonl"
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event()))
    assert (faults(plain(lake)), wpp_lake("status", "--check").returncode) == ([], 0)
    note_hours(lake.connection, {RECEIVED.replace(minute=0, second=0, microsecond=0): 1})
    assert faults(plain(lake)) == ["landing files have been waiting for a load since 2026-05-21 04:00 UTC"]
    assert wpp_lake("status", "--check").returncode == 0
    lake.connection.execute("update pending_hours set noted_at = now() - interval '16 minutes'")
    checked = wpp_lake("status", "--check")
    assert (checked.returncode, "waiting for a load since" in checked.stderr) == (1, True)


def test_what_the_last_reconcile_found_and_a_job_that_fails_are_faults(lake: Lake) -> None:
    status = plain(lake)
    now, page = datetime.now(UTC), {"run_id": "run"}
    status["reconcile"] = {"ended_at": now, "is_whole": True, **page, "failed": [  # type: ignore[typeddict-item]
        {"name": "as_loaded", "is_error": True, "first": "missing: a.jsonl"},
        {"name": "collector_heard", "is_error": False, "first": ""},
    ]}  # fmt: skip
    runs = [("load", True), ("snapshot", False), ("snapshot", False), ("__ASSET_JOB", False)]
    status["failed_runs"] = [{"job": job, "failed_at": now, "is_over": over, **page} for job, over in runs]  # type: ignore[typeddict-item]
    assert faults(status) == [
        "checks of the last reconcile failed: as_loaded (docs/runbook.md)",
        "the last run of snapshot failed",
    ]


def test_rows_are_those_of_the_tables_whatever_a_snapshot_has(lake: Lake) -> None:
    """Also where somebody has deleted some by hand, of a date whose Parquet file is current."""
    lake.land(line(event(), 1), line(event(), 2))
    lake.load()
    list(write_snapshots(lake.settings, lake.snapshots, RECEIVED.date()))
    lake.connection.execute("delete from whatsapp_events where landing_line = 2")
    found = collect(lake.settings)
    assert (found["counts"]["whatsapp_events"], found["rows"]["whatsapp_events"]) == (1, 1)
