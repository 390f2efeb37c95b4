"""`wpp-lake up` and `wpp-lake demo` as a person runs them: real processes, told to stop or killed."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import psutil  # type: ignore[import-untyped]  # it ships no types
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from factories import PATHS, SECRET, event, event_id, headers

from devstack.seaweed import Seaweed, check_bucket
from devstack.waiting import free_ports, wait_until
from pipelines.orchestration.code_server import SOCKET

WPP_LAKE = str(Path(sys.executable).with_name("wpp-lake"))
ENV_KEYS = {
    "WPP_LAKE_DATA_DIR",
    "DATABASE_URL",
    "DAGSTER_POSTGRES_URL",
    "DAGSTER_HOME",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "LANDING_BUCKET",
    "SNAPSHOT_BUCKET",
    "WHATSAPP_WEBHOOK_SECRET",
    "WPP_LAKE_RECEIVER_URL",
    "WPP_LAKE_DAGSTER_URL",
    "DO_NOT_TRACK",
    "DAGSTER_DISABLE_TELEMETRY",
}
PATIENCE_SECONDS = 180  # a start is some 20 CPU seconds, on a machine that others may share
FOREIGN = {
    "AWS_PROFILE": "somebody-else",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
    "DATABASE_URL": "postgresql://127.0.0.1:9/production",
    "PGSSLMODE": "require",
    "http_proxy": "http://127.0.0.1:9",
}


class Running:
    """A running `wpp-lake` command: its process, its data folder, and what it printed.

    It is started as a script starts it with `&`: with SIGINT ignored, which children would inherit.
    """

    def __init__(self, verb: str, data_dir: Path, *options: str, **environment: str) -> None:
        self.data_dir = data_dir
        self.receiver_port, self.dagster_port = free_ports(2)
        self.printed = data_dir.with_suffix(".out")
        ports = (f"--receiver-port={self.receiver_port}", f"--dagster-port={self.dagster_port}")
        command = ["/usr/bin/env", "--ignore-signal=INT", WPP_LAKE, verb, f"--data-dir={data_dir}", *ports, *options]
        with self.printed.open("wb") as out:
            self.process = psutil.Popen(
                command, stdout=out, stderr=out, cwd=data_dir.parent, env=dict(os.environ) | FOREIGN | environment
            )

    def lines(self) -> list[str]:
        """Return what it has printed."""
        return self.printed.read_text().splitlines()

    def line(self, start: str) -> str:
        """Return the first line that starts so, as soon as it is printed."""
        found: list[str] = []

        def is_printed() -> bool:
            found.extend(line for line in self.lines() if line.startswith(start))
            return bool(found) or self.process.poll() is not None

        wait_for(is_printed, f"a line {start}")
        assert found, self.printed.read_text()
        return found[0]

    def pids(self) -> dict[str, int]:
        """Return its children's recorded process ids by name."""
        record = json.loads((self.data_dir / "processes.json").read_text())
        return {entry["name"]: entry["pid"] for entry in record["processes"]}

    def environment(self) -> dict[str, str]:
        """Return what `env` holds."""
        lines = (self.data_dir / "env").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send it a signal and return its exit code."""
        self.process.send_signal(number)
        return int(self.process.wait(60))


def wait_for(check: Callable[[], object], what: str) -> None:
    """Return when the check holds."""

    def holds() -> None:
        assert check()

    wait_until(holds, what, PATIENCE_SECONDS)


def runs(process: psutil.Process) -> bool:
    """Tell whether a process runs; one that nobody has waited for yet doesn't."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def running(verb: str, data_dir: Path, *options: str, **environment: str) -> Iterator[Running]:
    """Run a command until the block ends."""
    command = Running(verb, data_dir, *options, **environment)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.stop()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run `up --no-dagster` for the tests that leave it as it is."""
    with running("up", tmp_path_factory.mktemp("up") / "lake", "--no-dagster") as up:
        up.line("READY")
        yield up


def get(url: str) -> int:
    """Return a URL's status, without a proxy."""
    with open_url(urllib.request.Request(url)) as response:  # noqa: S310  the stack's own address
        return int(response.status)


def open_url(request: urllib.request.Request) -> Any:
    """Send a request without a proxy."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30)


def test_ready_names_the_receiver_and_the_data_folder(up: Running) -> None:
    """The READY line has the addresses, and they answer."""
    assert up.line("READY") == f"READY  receiver http://127.0.0.1:{up.receiver_port}  data {up.data_dir}"
    assert get(f"http://127.0.0.1:{up.receiver_port}/readyz") == 200


def test_env_has_what_another_process_needs(up: Running) -> None:
    """Every documented key is there, and those that lead somewhere lead to this stack."""
    environment = up.environment()
    assert environment.keys() == ENV_KEYS
    assert environment["WPP_LAKE_DATA_DIR"] == str(up.data_dir)
    assert environment["WPP_LAKE_RECEIVER_URL"] == f"http://127.0.0.1:{up.receiver_port}"
    assert environment["AWS_ENDPOINT_URL_S3"] != FOREIGN["AWS_ENDPOINT_URL_S3"]
    with psycopg.connect(environment["DATABASE_URL"], sslmode="prefer") as connection:
        assert connection.execute("select count(*) from landing_files").fetchone() == (0,)


def test_nobody_else_reads_the_data_folder(up: Running) -> None:
    """The folder and its secrets are the owner's alone."""
    assert stat.S_IMODE(up.data_dir.stat().st_mode) == 0o700
    assert stat.S_IMODE((up.data_dir / "env").stat().st_mode) == 0o600


def test_everything_listens_on_loopback_only(up: Running) -> None:
    """No child listens on any other address."""
    listening = [
        connection.laddr.ip
        for pid in up.pids().values()
        for connection in psutil.Process(pid).net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_children_get_nothing_foreign(up: Running) -> None:
    """What points at other services in the starter's environment doesn't reach a child."""
    environments = [psutil.Process(pid).environ() for name, pid in up.pids().items() if name != "postgres"]
    assert not [value for environment in environments for value in environment.values() if value in FOREIGN.values()]


def doors(up: Running) -> list[int]:
    """Return the ports of this machine at which the stack listens, all of its processes."""
    everybody = [up.process, *up.process.children(recursive=True)]
    here = Path("/proc/self/ns/net").readlink()
    seen = [process for process in everybody if Path(f"/proc/{process.pid}/ns/net").readlink() == here]
    return sorted({
        connection.laddr.port
        for process in seen
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    })  # fmt: skip


STRANGERS = [
    ("GET", "/"), ("GET", "/?list-type=2"), ("GET", "/buckets/"), ("GET", "/buckets/wpp-landing/"),
    ("GET", "/wpp-landing"), ("GET", "/wpp-landing?list-type=2"), ("PUT", "/wpp-landing/whatsapp/forged.jsonl"),
    ("DELETE", "/wpp-landing"), ("GET", "/col/delete?collection=wpp-landing"), ("GET", "/dir/status"),
    ("DELETE", "/buckets/wpp-landing?recursive=true"), ("POST", "/buckets/wpp-landing/whatsapp/forged.jsonl"),
    ("GET", "/cluster/status"), ("POST", "/submit"), ("GET", "/dir/assign"),
]  # fmt: skip


def test_a_stranger_finds_no_door(up: Running) -> None:
    """Every port of a running stack, asked without a key: nothing lists, reads, writes or deletes."""
    environment = up.environment()
    store = int(environment["AWS_ENDPOINT_URL_S3"].rsplit(":", 1)[1])
    postgres = int(re.findall(r":(\d+)/", environment["DATABASE_URL"])[0])
    assert doors(up) == sorted([up.receiver_port, store, postgres])
    answers = {(method, path): answer(store, method, path) for method, path in STRANGERS}
    assert {asked: status for asked, status in answers.items() if status not in {400, 403, 404, 405, 501}} == {}
    with closing(store_client(environment)) as client:
        landed = client.list_objects_v2(Bucket="wpp-landing").get("Contents", [])
        assert [each["Key"] for each in landed if each["Key"].startswith("whatsapp/")] == []
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"host=127.0.0.1 port={postgres} user=wpp_lake dbname=wpp_lake password=guess")


def answer(port: int, method: str, path: str) -> int:
    """Return the status that somebody without a key gets."""
    url, data = f"http://127.0.0.1:{port}{path}", b"x" if method[0] == "P" else None
    request = urllib.request.Request(url, method=method, data=data)
    try:
        with open_url(request) as response:
            return int(response.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


def store_client(environment: Mapping[str, str]) -> Any:
    """Return a client of the store with an environment's keys."""
    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL_S3"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def test_the_receiver_may_write_the_landing_bucket_and_knows_of_nothing_else(up: Running) -> None:
    environment = psutil.Process(up.pids()["receiver"]).environ()
    people = up.environment()
    secrets = {name: people[name] for name in ("DATABASE_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    assert [name for name in environment if name.startswith(("DATABASE", "DAGSTER", "PG", "SNAPSHOT"))] == []
    assert set(secrets.values()).isdisjoint(environment.values())
    with closing(store_client(environment)) as client:
        client.put_object(Bucket="wpp-landing", Key="whatsapp/probe", Body=b"x")
        forbidden: list[Callable[[], object]] = [
            lambda: client.get_object(Bucket="wpp-landing", Key="whatsapp/probe"),
            lambda: client.list_objects_v2(Bucket="wpp-landing"),
            lambda: client.put_object(Bucket="wpp-snapshots", Key="x", Body=b"x"),
            lambda: client.list_objects_v2(Bucket="wpp-snapshots"),
            lambda: client.delete_object(Bucket="wpp-landing", Key="whatsapp/probe"),
        ]
        for ask in forbidden:
            with pytest.raises(ClientError, match="AccessDenied"):
                ask()
    with closing(store_client(people)) as client:
        client.delete_object(Bucket="wpp-landing", Key="whatsapp/probe")


def test_where_nothing_protects_the_store_up_refuses_and_says_what_that_means(tmp_path: Path) -> None:
    """A path without `unshare` stands for a machine that forbids namespaces."""
    with running("up", tmp_path / "lake", "--no-dagster", PATH=str(tmp_path)) as refused:
        assert "every user of this machine can read, forge and delete" in refused.line("wpp-lake: ")
        assert refused.process.wait(60) == 1
    with running("up", tmp_path / "lake", "--no-dagster", "--unprotected-store") as open_to_all:
        open_to_all.line("READY")
        assert open_to_all.line("the store is unprotected") == open_to_all.lines()[0]
        assert len(doors(open_to_all)) > 10


@pytest.mark.parametrize("mode", [0o770, 0o777, 0o702])
def test_a_data_folder_that_others_may_write_is_refused(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "lake"
    folder.mkdir()
    folder.chmod(mode)
    with running("up", folder, "--no-dagster") as refused:
        assert "others may write" in refused.line("wpp-lake: ")
    assert list(folder.iterdir()) == []


def test_a_data_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Root can give a folder away; for anybody else the root folder is somebody else's."""
    folder = tmp_path / "lake"
    folder.mkdir()
    if os.geteuid() == 0:
        os.chown(folder, 65534, 65534)
    command = [WPP_LAKE, "up", "--no-dagster", "--data-dir", str(folder if os.geteuid() == 0 else Path("/"))]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (refused.returncode, "belongs to somebody else" in refused.stderr) == (1, True)


def test_children_ignore_no_stop_signal(up: Running) -> None:
    """Though `up` was started with SIGINT ignored, its children take SIGINT and SIGTERM."""
    for pid in up.pids().values():
        ignored = int(Path(f"/proc/{pid}/status").read_text().split("SigIgn:")[1].split()[0], 16)
        assert not ignored & (1 << signal.SIGINT - 1 | 1 << signal.SIGTERM - 1)


def test_a_second_up_in_the_same_folder_is_refused(up: Running) -> None:
    """It says so in one line, exits 1, and disturbs nothing."""
    before = up.pids()
    second = subprocess.run(
        [WPP_LAKE, "up", f"--data-dir={up.data_dir}", f"--receiver-port={free_ports(1)[0]}", "--no-dagster"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == f"wpp-lake: another `wpp-lake up` (process {up.process.pid}) runs in {up.data_dir}\n"
    assert up.pids() == before


def answers(up: Running, name: str) -> bool:
    """Ask a child for real: a request, a query, an object."""
    if name == "receiver":
        return get(f"http://127.0.0.1:{up.receiver_port}/readyz") == 200
    environment = up.environment()
    if name == "postgres":
        with psycopg.connect(environment["DATABASE_URL"], sslmode="prefer") as connection:
            return connection.execute("select 1").fetchone() == (1,)
    keys = (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    port = int(environment["AWS_ENDPOINT_URL_S3"].rsplit(":", 1)[1])
    with closing(Seaweed(up.data_dir / "s3", (port,), *keys).client()) as client:
        check_bucket(client, environment["LANDING_BUCKET"])
    return True


@pytest.mark.parametrize("name", ["receiver", "postgres", "s3"])
def test_a_killed_child_comes_back(up: Running, name: str) -> None:
    """A child that is killed is started again, which is said, and it answers again."""
    killed = up.pids()[name]
    os.kill(killed, signal.SIGKILL)
    wait_for(lambda: up.pids()[name] != killed, f"a new {name}")
    assert up.line(f"{name} was killed by SIGKILL: starting it again")
    wait_for(lambda: answers(up, name), name)
    assert psutil.pid_exists(up.process.pid)


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    """It says so in one line, exits 1, and starts nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        taken = subprocess.run(
            [WPP_LAKE, "up", f"--data-dir={tmp_path / 'lake'}", f"--receiver-port={port}", "--no-dagster"],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert (taken.returncode, taken.stdout) == (1, "")
    assert taken.stderr == f"wpp-lake: port {port} is taken: choose another one with --receiver-port\n"
    assert not (tmp_path / "lake" / "postgres").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SNAPSHOT_MINUTES", "0"),
        ("WHATSAPP_WEBHOOK_PREVIOUS_SECRETS", "not a list"),
        ("RECEIVER_QUEUE_BYTES", "few"),
        ("LOG_FILES", "none"),
    ],
)
def test_a_bad_setting_is_refused(tmp_path: Path, name: str, value: str) -> None:
    """It is named in one line, before anything starts."""
    refused = subprocess.run(
        [WPP_LAKE, "up", f"--data-dir={tmp_path / 'lake'}", f"--receiver-port={free_ports(1)[0]}", "--no-dagster"],
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1)
    assert refused.stderr.startswith(f"wpp-lake: settings: {name}: ")
    assert not (tmp_path / "lake" / "postgres").exists()


def test_a_stop_while_it_starts_ends_everything(tmp_path: Path) -> None:
    """SIGINT before READY exits 0 and leaves no process."""
    with running("up", tmp_path / "lake", "--no-dagster") as up:
        wait_for(lambda: "s3" in up.pids(), "the first children")
        children = up.process.children(recursive=True)
        assert up.stop(signal.SIGINT) == 0
    assert not any(map(runs, children))
    assert "READY" not in up.printed.read_text()


def test_another_webhook_secret_than_last_time_is_said(tmp_path: Path) -> None:
    """It may be that the variable was forgotten: then the sender's deliveries are refused."""
    with running("up", tmp_path / "lake", "--no-dagster", WHATSAPP_WEBHOOK_SECRET="given") as first:
        wait_for(lambda: "s3" in first.pids(), "the first children")
    assert "secret" not in first.printed.read_text()
    with running("up", tmp_path / "lake", "--no-dagster") as second:
        assert "WHATSAPP_WEBHOOK_SECRET" in second.line("the webhook secret is not that of the last start")
        wait_for(lambda: "s3" in second.pids(), "the first children")
        assert json.loads(second.environment()["WHATSAPP_WEBHOOK_RETIRED_SECRETS"]) == ["given"]


def has_child(up: Running, name: str) -> bool:
    """Tell whether a child is recorded."""
    return up.data_dir.joinpath("processes.json").exists() and name in up.pids()


def test_no_secret_is_ever_forgotten(tmp_path: Path) -> None:
    """Lines that were signed with it may still wait: what was present or previous is retired, also later."""
    starts = [
        {"WHATSAPP_WEBHOOK_SECRET": "first"},
        {"WHATSAPP_WEBHOOK_SECRET": "second", "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS": '["first", "other"]'},
        {"WHATSAPP_WEBHOOK_SECRET": "third", "WHATSAPP_WEBHOOK_RETIRED_SECRETS": '["older"]'},
        {"WHATSAPP_WEBHOOK_SECRET": "first"},
    ]
    retired = []
    for variables in starts:
        with running("up", tmp_path / "lake", "--no-dagster", **variables) as up:
            wait_for(partial(has_child, up, "s3"), "the first children")
            retired.append(json.loads(up.environment().get("WHATSAPP_WEBHOOK_RETIRED_SECRETS", "[]")))
    assert retired == [[], [], ["older", "second", "first", "other"], ["third", "older", "second", "other"]]


def test_a_killed_up_leaves_nothing_that_the_next_one_does_not_end(tmp_path: Path) -> None:
    """After SIGKILL of `up` the next one starts on the same data and the same secrets, with no old process left."""
    with running("up", tmp_path / "lake", "--no-dagster") as first:
        first.line("READY")
        with psycopg.connect(first.environment()["DATABASE_URL"], sslmode="prefer") as connection:
            connection.execute("create table kept as select 42 as number")
        children = first.process.children(recursive=True)
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
    secret = first.environment()["WHATSAPP_WEBHOOK_SECRET"]
    with running("up", tmp_path / "lake", "--no-dagster") as second:
        second.line("READY")
        assert not any(map(runs, children))
        assert second.environment()["WHATSAPP_WEBHOOK_SECRET"] == secret
        with psycopg.connect(second.environment()["DATABASE_URL"], sslmode="prefer") as connection:
            assert connection.execute("select number from kept").fetchone() == (42,)


@pytest.fixture(scope="module")
def with_dagster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run `up` with Dagster in a folder whose path is longer than a socket's may be, for several tests."""
    folder = tmp_path_factory.mktemp("up") / ("long" * 30)
    folder.mkdir()
    with running("up", folder / "lake", WHATSAPP_WEBHOOK_SECRET=SECRET, DAGSTER_ALLOWED_HOSTS="lake.example.org") as up:
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
    assert psutil.Process(with_dagster.pids()["dagster-code"]).net_connections("inet") == []
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


def deliver(up: Running, name: str) -> str:
    """Send a signed event as the collector does, and return its id."""
    body, identifier = event(), event_id(name)
    url = f"http://127.0.0.1:{up.receiver_port}{PATHS['current']}"
    with open_url(urllib.request.Request(url, body, headers(body, identifier))) as response:
        assert response.status == 202
    return identifier


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


def test_a_stop_does_not_wait_for_a_load_that_hangs(tmp_path: Path) -> None:
    """SIGTERM exits 0 and ends everything, though the code server would wait for its run."""
    with running("up", tmp_path / "lake", WHATSAPP_WEBHOOK_SECRET=SECRET) as up:
        up.line("READY")
        with psycopg.connect(up.environment()["DATABASE_URL"], sslmode="prefer", autocommit=True) as connection:
            connection.execute("select pg_advisory_lock(7077061)")  # as a load that changes people and groups does
            deliver(up, "that nobody loads")
            wait_for(lambda: waits_for_a_lock(connection), "a load that waits")
            children = up.process.children(recursive=True)
            assert up.stop() == 0
    assert "dagster-code doesn't stop: killing it" in up.lines()
    wait_for(lambda: not any(map(runs, children)), "the end of all of it")


def waits_for_a_lock(connection: psycopg.Connection) -> bool:
    """Tell whether somebody waits for an advisory lock."""
    waiting = connection.execute("select 1 from pg_locks where locktype = 'advisory' and not granted")
    return waiting.fetchone() is not None


def test_a_killed_up_takes_dagster_along(tmp_path: Path) -> None:
    """After SIGKILL of `up` each of its processes ends by itself."""
    with running("up", tmp_path / "lake", WHATSAPP_WEBHOOK_SECRET="given $HOME 'quoted'") as up:
        up.line("READY")
        assert up.environment()["WHATSAPP_WEBHOOK_SECRET"] == "given $HOME 'quoted'"
        children = up.process.children(recursive=True)
        assert up.stop(signal.SIGKILL) == -signal.SIGKILL
    wait_for(lambda: not any(map(runs, children)), "the end of all of it")


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


def test_the_demo_adds_up_twice(tmp_path: Path) -> None:
    """Two demos in one folder end with the same counts; the notebook line reads the sample's events."""
    with running("demo", tmp_path / "lake", "--no-dagster", "--once") as once:
        assert once.process.wait(PATIENCE_SECONDS) == 0, once.printed.read_text()
    first = summary(once)
    with running("demo", tmp_path / "lake", "--no-dagster") as again:
        again.line("Everything stays up")
        assert summary(again) == first
        assert notebook_rows(again) == 294
        assert again.stop(signal.SIGINT) == 0
    assert first[0] == "sent                       300 (295 accepted, 5 duplicate), 294 different events"
    assert first[-1] == "The counts add up."


def summary(demo: Running) -> list[str]:
    """Return the lines of the demo's summary."""
    lines = demo.lines()
    return lines[lines.index(demo.line("sent  ")) : lines.index("The counts add up.") + 1]


def notebook_rows(demo: Running) -> int:
    """Paste the two lines into a shell, and return the rows that the notebook line reads."""
    script = f"{demo.line('eval ')}\n{demo.line('python -c ')}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S602  its purpose
        script, shell=True, cwd=demo.data_dir.parent, env=os.environ | {"PATH": path}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return int(re.findall(r"\[(\d+) rows x", done.stdout)[0])
