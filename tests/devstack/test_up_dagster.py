"""`wpp-lake up` with Dagster: its processes, killed and stopped, and that loads go on."""

import json
import os
import re
import signal
import stat
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

import psutil  # type: ignore[import-untyped]  # it ships no types
import psycopg
import pytest
from factories import SECRET
from stack_process import WPP_LAKE, Running, deliver, open_url, running, wait_for
from watcher import SECRET_PATH, Watcher, watching

from pipelines.orchestration.code_server import SOCKET

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def watcher() -> Iterator[Watcher]:
    """Run a service that waits for heartbeats."""
    with watching() as watcher:
        yield watcher


@pytest.fixture(scope="module")
def with_dagster(tmp_path_factory: pytest.TempPathFactory, watcher: Watcher) -> Iterator[Running]:
    """Run `up` with Dagster in a folder whose path is longer than a socket's may be, for several tests."""
    folder = tmp_path_factory.mktemp("up") / ("long" * 30)
    folder.mkdir()
    settings = {"DAGSTER_ALLOWED_HOSTS": "lake.example.org", "HEARTBEAT_URL": watcher.url}
    with running("up", folder / "lake", WHATSAPP_WEBHOOK_SECRET=SECRET, **settings) as up:
        up.line("READY")
        yield up


def test_ready_names_dagster_too(with_dagster: Running) -> None:
    """The READY line has the web interface's address, and what answers there runs the project's code."""
    assert f"dagster http://127.0.0.1:{with_dagster.dagster_port}" in with_dagster.line("READY")
    location = {"name": "wpp-lake", "locationOrLoadError": {"__typename": "RepositoryLocation"}}
    assert code_locations(with_dagster) == [location]


def test_the_webserver_has_the_guard_and_its_setting(with_dagster: Running) -> None:
    """Another host is refused, one that the setting names is not."""
    page = urllib.request.Request(
        f"http://127.0.0.1:{with_dagster.dagster_port}/", headers={"Host": "lake.example.org"}
    )
    with open_url(page) as response:
        assert response.status == 200
    page.add_header("Host", "rebound.example.net")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        open_url(page)


@pytest.mark.usefixtures("with_dagster")
def test_the_heartbeat_is_called(watcher: Watcher) -> None:
    """By the daemon, as soon as all is well."""
    wait_for(lambda: watcher.calls, "a call")
    assert set(watcher.calls) == {SECRET_PATH}


def test_the_metrics_see_the_lake(with_dagster: Running) -> None:
    """Database, landing bucket and disk are in the webserver's settings."""
    with open_url(urllib.request.Request(f"http://127.0.0.1:{with_dagster.dagster_port}/metrics")) as response:
        text = response.read().decode()
    assert "\nwpp_lake_up 1.0\n" in text
    assert '\nwpp_lake_disk_free_bytes{holds="postgres,s3,dagster,logs"} ' in text


def test_the_status_has_every_process_as_healthy(with_dagster: Running) -> None:
    """By their names, in the order of their start."""
    wait_for(lambda: healthy(with_dagster) == list(with_dagster.pids()), "healthy processes")
    assert list(with_dagster.pids()) == [
        "postgres", "s3", "receiver", "dagster-code", "dagster-webserver", "dagster-daemon",
    ]  # fmt: skip


def healthy(up: Running) -> list[str]:
    """Return the names of the processes that `wpp-lake status` calls healthy."""
    status = [WPP_LAKE, "status", "--json", f"--data-dir={up.data_dir}"]
    processes = json.loads(subprocess.check_output(status, timeout=60))["processes"]
    return [each["name"] for each in processes if each["healthy"]]


def test_webserver_and_daemon_share_one_code_server(with_dagster: Running) -> None:
    """No other process serves the code, and this one is what `dagster-code` names."""
    code_servers = [
        process.pid
        for process in with_dagster.process.children(recursive=True)
        if {"api", "grpc"}.issubset(process.cmdline())
    ]
    assert code_servers == [with_dagster.pids()["dagster-code"]]


def test_nobody_else_reaches_the_code_server(with_dagster: Running) -> None:
    """It listens on no port, and its socket is in a folder that only the owner may enter."""
    connections = psutil.Process(with_dagster.pids()["dagster-code"]).net_connections("inet")
    assert [each for each in connections if each.status == psutil.CONN_LISTEN] == []
    socket_file = with_dagster.data_dir / SOCKET
    assert stat.S_ISSOCK(socket_file.stat().st_mode)
    assert stat.S_IMODE(socket_file.parent.stat().st_mode) == 0o700


def test_loads_go_on_when_the_code_server_was_killed(with_dagster: Running) -> None:
    """It comes back, and an event is loaded: webserver and daemon find the new one by themselves."""
    daemons = {name: pid for name, pid in with_dagster.pids().items() if name != "dagster-code"}
    killed = with_dagster.pids()["dagster-code"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: with_dagster.pids()["dagster-code"] != killed, "a new code server")
    identifier = deliver(with_dagster, "after the code server was killed")
    wait_for(lambda: rows(with_dagster, identifier) == 1, "the event's row")
    location = {"name": "wpp-lake", "locationOrLoadError": {"__typename": "RepositoryLocation"}}
    wait_for(lambda: code_locations(with_dagster) == [location], "the webserver's code location")
    assert {name: pid for name, pid in with_dagster.pids().items() if name != "dagster-code"} == daemons


def rows(up: Running, identifier: str) -> int:
    """Return how many rows an event has."""
    with psycopg.connect(up.environment()["DATABASE_URL"], sslmode="prefer") as connection:
        found = connection.execute("select 1 from whatsapp_events where event_id = %s", [identifier])
        return len(found.fetchall())


def test_a_killed_daemon_comes_back(with_dagster: Running) -> None:
    """The daemon is started again, and healthy again."""
    killed = with_dagster.pids()["dagster-daemon"]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: with_dagster.pids()["dagster-daemon"] != killed, "a new daemon")
    wait_for(lambda: "dagster-daemon" in healthy(with_dagster), "its heartbeat")


def test_the_daemons_log_is_plain_and_has_each_line_once(with_dagster: Running) -> None:
    """Also after a lost connection to its storage, which gave every later line a twin."""
    log = with_dagster.data_dir / "logs" / "dagster-daemon.log"
    lost, tick = "Retrying failed database connection", "Checking for new runs for sensor: new_landing_files"

    def is_lost() -> bool:
        """Kill PostgreSQL again whenever it is back before the daemon has asked it anything."""
        with suppress(ProcessLookupError):
            os.kill(with_dagster.pids()["postgres"], signal.SIGKILL)
        return lost in log.read_text()

    wait_for(is_lost, "a lost connection")
    wait_for(lambda: log.read_text().rpartition(lost)[2].count(tick) >= 2, "two ticks after it")
    text = log.read_text()
    ticks = [line for line in text.splitlines() if tick in line]
    plain = re.compile(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d \+0000 - dagster\.daemon\.SensorDaemon - INFO - {tick}")
    assert [line for line in ticks if not plain.fullmatch(line)] == []
    assert len(set(ticks)) == len(ticks)
    assert "\x1b" not in text


def code_locations(up: Running) -> object:
    """Return Dagster's code locations, once they have been loaded."""
    fields = "workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } }"
    request = urllib.request.Request(
        f"http://127.0.0.1:{up.dagster_port}/graphql",
        data=json.dumps({"query": f"{{ {fields} }}"}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with open_url(request) as response:
        return json.load(response)["data"]["workspaceOrError"]["locationEntries"]
