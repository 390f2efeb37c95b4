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
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import psycopg
import pytest
from botocore.exceptions import ClientError
from stack_process import (
    FOREIGN,
    PATIENCE_SECONDS,
    WPP_LAKE,
    Running,
    get,
    open_url,
    running,
    runs,
    store_client,
    wait_for,
)

from devstack import namespaces
from devstack.processes import output_of
from devstack.seaweed import Seaweed, check_bucket
from devstack.waiting import free_ports

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


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run `up --no-dagster` for the tests that leave it as it is."""
    with running("up", tmp_path_factory.mktemp("up") / "lake", "--no-dagster") as up:
        up.line("READY")
        yield up


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


def test_the_store_syncs_landing_files_before_it_answers(up: Running) -> None:
    """The rule of the running server, asked in its own shell, inside its network namespace."""
    server = psutil.Process(up.pids()["s3"])
    [master] = [word.partition("=")[2] for word in server.cmdline() if word.startswith("-master.port=")]
    inside = namespaces.enter(namespaces.own_network(), server.pid)
    shell = [*inside, server.exe(), "shell", f"-master=127.0.0.1:{master}"]
    said = output_of(shell, input="fs.configure\n", cwd=server.cwd(), env=server.environ(), timeout=30)
    rules = json.loads(said[said.index("{") : said.rindex("}") + 1])["locations"]
    assert [each["fsync"] for each in rules if each["locationPrefix"] == "/buckets/wpp-landing/"] == [True]


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


@pytest.mark.stack
def test_the_demo_adds_up_twice(tmp_path: Path) -> None:
    """Two demos in one folder end with the same counts, in 80 columns; its line of SQL reads the messages."""
    with running("demo", tmp_path / "lake", "--no-dagster", "--once") as once:
        assert once.process.wait(PATIENCE_SECONDS) == 0, once.printed.read_text()
    first = summary(once)
    with running("demo", tmp_path / "lake", "--no-dagster") as again:
        again.line("Everything stays up")
        assert summary(again) == first
        assert messages_counted(again) == 80
        assert max(map(len, summary(again))) <= 80
        assert again.stop(signal.SIGINT) == 0
    assert first[0] == "sent                       300 requests: 295 accepted, 5 duplicate"
    assert first[1] == "different events           294"
    assert first[-1] == "The counts add up."
    told = [line[:8] for line in once.lines() if re.match(r"the demo|\d of 4: |  \d+ of \d+ answered", line)]
    assert told == ["the demo", "1 of 4: ", "2 of 4: ", "  300 of", "3 of 4: ", "4 of 4: "]


def summary(demo: Running) -> list[str]:
    """Return the lines of the demo's summary, but for what the landing zone had before."""
    lines = demo.lines()
    shown = lines[lines.index(demo.line("sent  ")) : lines.index("The counts add up.") + 1]
    return [line for line in shown if not line.startswith("landing zone")]


def messages_counted(demo: Running) -> int:
    """Paste two lines into a shell, and return how many messages the line of SQL counts, all kinds together."""
    script = f"{demo.line('  eval ')}\n{demo.line('  wpp-lake sql ')}"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(  # noqa: S602  its purpose
        script, shell=True, cwd=demo.data_dir.parent, env=os.environ | {"PATH": path}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return sum(int(number) for number in re.findall(r"\b\d+\b", done.stdout))
