"""The embedded servers and the supervisor, each on its own: real processes, killed for real."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types
import psycopg
import pytest
from botocore.exceptions import ClientError
from servers import running
from stack_process import runs, wait_for

from devstack import postgres, processes
from devstack.errors import NotReadyError, StackError
from devstack.logs import LogLimit, rotate
from devstack.postgres import Postgres
from devstack.seaweed import Seaweed
from devstack.state import State, locked, write_environment
from devstack.supervisor import Child, Supervisor
from devstack.waiting import free_ports, is_free, wait_until

# --- PostgreSQL


@pytest.fixture
def cluster(tmp_path: Path) -> Postgres:
    """Make a cluster that doesn't run yet."""
    cluster = Postgres(tmp_path / "postgres", free_ports(1)[0], "secret")
    cluster.initialise()
    return cluster


def test_postgres_has_the_settings_that_data_depends_on(cluster: Postgres) -> None:
    """PostgreSQL has the settings that data depends on."""
    with running(cluster.command(), cluster.folder, signal.SIGINT):
        wait_until(cluster.check, "PostgreSQL")
        with psycopg.connect(cluster.url("postgres")) as connection:
            settings: dict[str, str] = dict(connection.execute("select name, setting from pg_settings").fetchall())
            locale = connection.execute("select datlocprovider, datlocale from pg_database where datname = 'postgres'")
            assert locale.fetchone() == ("b", "C.UTF-8")
    names = ("data_checksums", "fsync", "full_page_writes", "server_encoding", "TimeZone", "password_encryption")
    assert {name: settings[name] for name in names} == {
        "data_checksums": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "password_encryption": "scram-sha-256",
    }


def test_postgres_listens_on_loopback_only(postgres_server: Postgres) -> None:
    """PostgreSQL listens on loopback only."""
    with psycopg.connect(postgres_server.url("postgres")) as connection:
        listening = connection.execute("select setting from pg_settings where name = 'listen_addresses'").fetchone()
        sockets = connection.execute("select setting from pg_settings where name = 'unix_socket_directories'")
        assert (listening, sockets.fetchone()) == (("127.0.0.1",), ("",))


def test_postgres_refuses_a_wrong_password(postgres_server: Postgres) -> None:
    """PostgreSQL refuses a wrong password."""
    impostor = Postgres(postgres_server.folder, postgres_server.port, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        impostor.check()


def test_postgres_makes_missing_databases_once(postgres_server: Postgres) -> None:
    """PostgreSQL makes missing databases once."""
    postgres_server.create_databases(["made_once"])
    postgres_server.create_databases(["made_once", "postgres"])
    with psycopg.connect(postgres_server.url("made_once")) as connection:
        assert connection.execute("select current_database()").fetchone() == ("made_once",)


def test_postgres_keeps_its_rows_when_it_is_killed(cluster: Postgres) -> None:
    """PostgreSQL keeps its rows when it is killed."""
    with running(cluster.command(), cluster.folder, signal.SIGKILL):
        wait_until(cluster.check, "PostgreSQL")
        with psycopg.connect(cluster.url("postgres")) as connection:
            connection.execute("create table kept as select 42 as number")
    cluster.initialise()
    with running(cluster.command(), cluster.folder, signal.SIGINT):
        wait_until(cluster.check, "PostgreSQL")
        with psycopg.connect(cluster.url("postgres")) as connection:
            assert connection.execute("select number from kept").fetchone() == (42,)


def test_postgres_starts_though_its_lock_file_names_another_process(cluster: Postgres) -> None:
    """PostgreSQL starts though its lock file names another process."""
    lock = cluster.folder / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{cluster.folder}\n")
    cluster.initialise()
    with running(cluster.command(), cluster.folder, signal.SIGINT):
        wait_until(cluster.check, "PostgreSQL")


def test_postgres_stops_cleanly_on_sigint(cluster: Postgres) -> None:
    """PostgreSQL stops cleanly on SIGINT."""
    with running(cluster.command(), cluster.folder, signal.SIGINT) as server:
        wait_until(cluster.check, "PostgreSQL")
    assert server.returncode == 0


def test_root_without_user_namespaces_runs_postgres_as_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root without user namespaces runs PostgreSQL as nobody, in a folder that only root may enter."""
    monkeypatch.setattr(postgres, "_IN_A_NAMESPACE", ("false",))
    monkeypatch.setattr(postgres, "_as_unprivileged", postgres._as_unprivileged.__wrapped__)  # noqa: SLF001  not cached
    tmp_path.chmod(0o700)
    cluster = Postgres(tmp_path / "postgres", free_ports(1)[0], "secret")
    cluster.initialise()
    with running(cluster.command(), cluster.folder, signal.SIGINT):
        wait_until(cluster.check, "PostgreSQL")
    assert cluster.folder.owner() == ("nobody" if os.geteuid() == 0 else tmp_path.owner())


def test_a_cluster_half_made_is_made_again(tmp_path: Path) -> None:
    """A cluster half made is made again."""
    half = tmp_path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    Postgres(tmp_path / "postgres", free_ports(1)[0], "secret").initialise()
    assert (tmp_path / "postgres" / "global" / "pg_control").exists()
    assert not half.exists()


# --- SeaweedFS


@pytest.fixture
def weed(tmp_path: Path) -> Seaweed:
    """Make an S3 server that doesn't run yet, with one identity for two buckets."""
    weed = Seaweed(tmp_path / "s3", free_ports(5), "key", "secret", ("wpp-landing", "wpp-snapshots"))
    weed.initialise()
    return weed


def put_and_kill(weed: Seaweed, key: str) -> None:
    """Write an object with fsync on, and kill the server at once."""
    with running(weed.command(), weed.folder, signal.SIGKILL) as server, closing(weed.client()) as client:
        wait_until(lambda: weed.check(client), "SeaweedFS")
        weed.set_rules(server.pid, "wpp-landing")
        client.put_object(Bucket="wpp-landing", Key=key, Body=b"a line\n")


def read_after_restart(weed: Seaweed, key: str) -> bytes:
    """Start the server and read an object."""
    weed.initialise()
    with running(weed.command(), weed.folder, signal.SIGTERM), closing(weed.client()) as client:
        wait_until(lambda: weed.check(client), "SeaweedFS")
        return client.get_object(Bucket="wpp-landing", Key=key)["Body"].read()


def test_an_object_survives_a_killed_s3_server(weed: Seaweed) -> None:
    """An object survives a killed S3 server."""
    put_and_kill(weed, "whatsapp/kept.jsonl")
    assert read_after_restart(weed, "whatsapp/kept.jsonl") == b"a line\n"


def test_an_object_survives_an_index_that_a_power_cut_has_cut(weed: Seaweed) -> None:
    """An index that lacks the last objects is made anew when the machine has restarted."""
    put_and_kill(weed, "whatsapp/kept.jsonl")
    for index in weed.folder.glob("*.idx"):
        os.truncate(index, 0)
    (weed.folder / "boot_time").write_text("the boot before")
    assert read_after_restart(weed, "whatsapp/kept.jsonl") == b"a line\n"


def test_an_object_survives_other_ports(weed: Seaweed) -> None:
    """An object survives other ports."""
    put_and_kill(weed, "whatsapp/kept.jsonl")
    moved = Seaweed(weed.folder, free_ports(5), weed.access_key, weed.secret_key, weed.buckets)
    assert read_after_restart(moved, "whatsapp/kept.jsonl") == b"a line\n"


def test_the_s3_identity_may_use_its_buckets_and_nothing_else(weed: Seaweed) -> None:
    """The S3 identity may use its buckets and nothing else."""
    stranger = Seaweed(weed.folder, weed.ports, "key", "guessed", weed.buckets)
    with running(weed.command(), weed.folder, signal.SIGTERM), closing(weed.client()) as client:
        wait_until(lambda: weed.check(client), "SeaweedFS")
        with pytest.raises(ClientError, match="AccessDenied"):
            client.create_bucket(Bucket="another")
        with closing(stranger.client()) as strange, pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            strange.put_object(Bucket="wpp-landing", Key="whatsapp/forged.jsonl", Body=b"")


def test_a_store_that_is_told_to_refuses_every_put_and_still_reads_and_deletes(weed: Seaweed) -> None:
    """It takes puts again as soon as it is told, and refuses at once: nobody waits for a timeout."""
    with running(weed.command(), weed.folder, signal.SIGTERM) as server, closing(weed.client()) as client:
        wait_until(lambda: weed.check(client), "SeaweedFS")
        client.put_object(Bucket="wpp-landing", Key="whatsapp/kept.jsonl", Body=b"a line\n")
        weed.set_rules(server.pid, "wpp-landing", refuse=True)
        for bucket in weed.buckets:
            with pytest.raises(ClientError, match="InternalError"):
                client.put_object(Bucket=bucket, Key="new", Body=b"")
        assert client.get_object(Bucket="wpp-landing", Key="whatsapp/kept.jsonl")["Body"].read() == b"a line\n"
        client.delete_object(Bucket="wpp-landing", Key="whatsapp/kept.jsonl")
        weed.check(client, puts=False)
        weed.set_rules(server.pid, "wpp-landing", refuse=False)
        weed.check(client)


# --- the supervisor


class Sayings:
    """What a supervisor said, and a way to wait for it."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        """Take a line."""
        self.lines.append(line)


def supervising(record: Path, said: Sayings | None = None, *, log_bytes: int = 10_000_000) -> Supervisor:
    """Make a supervisor that keeps two files of a log's earlier content."""
    return Supervisor(record, said or Sayings(), LogLimit(log_bytes, 2))


def child(folder: Path, name: str, code: str, grace_seconds: float = 15.0) -> Child:
    """Describe a child that runs a line of Python."""
    command = (sys.executable, "-c", code)
    return Child(name, command, dict(os.environ), folder, folder / f"{name}.log", grace_seconds=grace_seconds)


async def eventually(check: Callable[[], object], what: str) -> None:
    """Return when the check holds, without holding up the event loop."""
    await asyncio.to_thread(wait_for, check, what)


def recorded_pids(record: Path) -> dict[str, int]:
    """Return the recorded processes' ids by name."""
    return {entry["name"]: entry["pid"] for entry in json.loads(record.read_text())["processes"]}


SLEEP = "import signal; signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()"
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{SLEEP}'])"
LAST_WORDS = """
import pathlib, signal, sys
def leave(*_):
    with pathlib.Path("order").open("a") as order:
        order.write("{0}\\n")
    sys.exit()
signal.signal(signal.SIGTERM, leave)
print(1, flush=True)
signal.pause()
"""


async def test_a_killed_child_is_started_again_and_that_is_said(tmp_path: Path) -> None:
    """A killed child is started again and that is said, also when its log was removed."""
    record, said, sleeper = tmp_path / "processes.json", Sayings(), child(tmp_path, "sleeper", SLEEP)
    async with supervising(record, said) as supervisor:
        await supervisor.start(sleeper)
        sleeper.log.unlink()
        first = recorded_pids(record)["sleeper"]
        os.kill(first, signal.SIGKILL)
        await eventually(lambda: recorded_pids(record)["sleeper"] != first, "a new process")
        assert [each["restarts"] for each in json.loads(record.read_text())["processes"]] == [1]
    assert len(said.lines) == 1
    assert said.lines[0].startswith("sleeper was killed by SIGKILL: starting it again")


async def test_a_child_that_always_fails_is_tried_again_and_again(tmp_path: Path) -> None:
    """A child that always fails is tried again and again."""
    said = Sayings()
    async with supervising(tmp_path / "processes.json", said) as supervisor:
        await supervisor.start(child(tmp_path, "failing", "raise SystemExit(3)"))
        await eventually(lambda: len(said.lines) >= 4, "a fourth failure")
    assert said.lines[3].startswith("failing ended with exit code 3")


async def test_leaving_the_supervisor_ends_children_and_grandchildren(tmp_path: Path) -> None:
    """Leaving the supervisor ends children and grandchildren."""
    record = tmp_path / "processes.json"
    async with supervising(record) as supervisor:
        await supervisor.start(child(tmp_path, "parent", PARENT))
        parent = psutil.Process(recorded_pids(record)["parent"])
        await eventually(parent.children, "a grandchild")
        family = [parent, *parent.children()]
    await eventually(lambda: not any(map(runs, family)), "their end")
    assert recorded_pids(record) == {}


async def test_children_stop_in_reverse_order(tmp_path: Path) -> None:
    """Children stop in reverse order."""
    async with supervising(tmp_path / "processes.json") as supervisor:
        for name in ("first", "second", "third"):
            await supervisor.start(child(tmp_path, name, LAST_WORDS.format(name)))
            await eventually((tmp_path / f"{name}.log").read_text, name)
    assert (tmp_path / "order").read_text().split() == ["third", "second", "first"]


async def test_a_child_that_ignores_the_stop_is_killed_after_its_grace(tmp_path: Path) -> None:
    """A child that ignores the stop is killed after its grace."""
    said = Sayings()
    async with supervising(tmp_path / "processes.json", said) as supervisor:
        await supervisor.start(child(tmp_path, "stubborn", STUBBORN, grace_seconds=0.2))
        await eventually((tmp_path / "stubborn.log").read_text, "stubborn")
    assert said.lines == ["stubborn doesn't stop: killing it"]


# --- its children's logs


TALKATIVE = """
import os, signal, sys, time
for number in range(50_000):
    print(number)
sys.stdout.flush()
while os.path.getsize("talkative.log"):
    time.sleep(0.01)
print("after", flush=True)
signal.pause()
"""


ENDLESS = """
import itertools, sys
for number in itertools.count():
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


async def test_a_long_log_is_moved_and_its_writer_goes_on_at_the_beginning(tmp_path: Path) -> None:
    """All that was written is there, in order, and the writer has noticed nothing."""
    talkative = child(tmp_path, "talkative", TALKATIVE)
    async with supervising(tmp_path / "processes.json", log_bytes=288_889) as supervisor:  # one byte less
        await supervisor.start(talkative)
        await eventually(lambda: talkative.log.read_text() == "after\n", "what is written after")
    assert (tmp_path / "talkative.log.1").read_text() == "".join(f"{number}\n" for number in range(50_000))
    assert not (tmp_path / "talkative.log.2").exists()


async def test_a_child_that_never_stops_writing_fills_so_many_files_and_no_more(tmp_path: Path) -> None:
    """What is kept are whole lines in order, the newest ones; the rest is gone."""
    endless = child(tmp_path, "endless", ENDLESS)
    kept = [tmp_path / "endless.log.2", tmp_path / "endless.log.1"]
    async with supervising(tmp_path / "processes.json", log_bytes=1000) as supervisor:
        await supervisor.start(endless)
        await eventually(lambda: kept[0].read_text()[:2] != "0\n", "a third rotation")
    names = ["endless.log", "endless.log.1", "endless.log.2"]
    await eventually(lambda: sorted(file.name for file in tmp_path.glob("endless*")) == names, "the end of a rotation")
    numbers = [int(line) for file in [*kept, endless.log] for line in file.read_text().splitlines()]
    assert [pair for pair in pairwise(numbers) if pair[0] >= pair[1]] == []
    assert numbers[0] > 0


@pytest.mark.parametrize(
    ("content", "moved"), [("one\ntwo\nthr", "one\ntwo\n"), ("one\n", "one\n"), ("no end", "no end"), ("", "")]
)
def test_a_log_is_moved_without_the_half_of_a_line(tmp_path: Path, content: str, moved: str) -> None:
    """A writer is in the middle of it."""
    log = tmp_path / "some.log"
    log.write_text(content)
    rotate(log, 2)
    assert (tmp_path / "some.log.1").read_text() == moved
    assert log.read_text() == ""


def test_a_log_that_is_missing_between_others_is_no_obstacle(tmp_path: Path) -> None:
    """Somebody may have removed one."""
    log = tmp_path / "some.log"
    for content in ("first", "second", "third"):
        log.write_text(content)
        rotate(log, 3)
    (tmp_path / "some.log.2").unlink()
    log.write_text("fourth")
    rotate(log, 3)
    found = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert found == {"some.log": "", "some.log.1": "fourth", "some.log.2": "third", "some.log.3": "first"}


async def test_a_command_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    """A command that cannot be started is an error."""
    missing = Child("missing", [str(tmp_path / "no-such-command")], {}, tmp_path, tmp_path / "missing.log")
    async with supervising(tmp_path / "processes.json") as supervisor:
        with pytest.raises(FileNotFoundError):
            await supervisor.start(missing)


# --- what a killed stack leaves behind


@pytest.fixture
def orphan() -> Iterator[psutil.Popen]:
    """Run a process that leads a session of its own and has a child."""
    with psutil.Popen([sys.executable, "-c", PARENT], start_new_session=True) as process:
        wait_for(process.children, "its child")
        yield process
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_leftovers_end_with_their_children(tmp_path: Path, orphan: psutil.Popen) -> None:
    """Leftovers end with their children."""
    family = [orphan, *orphan.children()]
    record = tmp_path / "processes.json"
    processes.write_record(record, [processes.identify("orphan", orphan.pid)])
    processes.end_leftovers(record)
    assert not any(map(runs, family))


def test_a_session_whose_leader_is_gone_ends_too(tmp_path: Path, orphan: psutil.Popen) -> None:
    """A session whose leader is gone ends too."""
    (grandchild,) = orphan.children()
    record = tmp_path / "processes.json"
    processes.write_record(record, [processes.identify("orphan", orphan.pid)])
    orphan.kill()
    orphan.wait()
    processes.end_leftovers(record)
    assert not runs(grandchild)


def test_another_process_with_a_recorded_id_is_left_alone(tmp_path: Path, orphan: psutil.Popen) -> None:
    """Another process with a recorded id is left alone."""
    record = tmp_path / "processes.json"
    processes.write_record(
        record, [{"name": "orphan", "pid": orphan.pid, "started": orphan.create_time() - 60, "restarts": 0}]
    )
    processes.end_leftovers(record)
    assert orphan.is_running()


@pytest.mark.parametrize("text", ["", "{"], ids=["empty", "half written"])
def test_a_record_that_cannot_be_read_names_nothing(tmp_path: Path, text: str) -> None:
    """A record that cannot be read names nothing."""
    record = tmp_path / "processes.json"
    record.write_text(text)
    processes.end_leftovers(record)


def test_a_child_ends_when_its_parent_is_killed() -> None:
    """A child ends when its parent is killed."""
    command = [*processes.dies_with_parent(signal.SIGTERM), sys.executable, "-c", SLEEP]
    code = f"import subprocess; subprocess.run({command!r})"
    with psutil.Popen([sys.executable, "-c", code]) as parent:
        wait_for(parent.children, "the child")
        (sleeper,) = parent.children()
        wait_for(lambda: sleeper.cmdline()[0] == sys.executable, "the command itself")
        parent.kill()
        wait_for(lambda: not runs(sleeper), "the child's end")


# --- the data folder


def test_secrets_and_ports_are_kept(tmp_path: Path) -> None:
    """Secrets and ports are kept."""
    assert State.load(tmp_path, frozenset()) == State.load(tmp_path, frozenset())


def test_a_kept_port_that_is_taken_is_replaced_and_the_secrets_stay(tmp_path: Path) -> None:
    """A kept port that is taken is replaced and the secrets stay."""
    before = State.load(tmp_path, frozenset())
    with socket.create_server(("127.0.0.1", before.postgres_port)):
        after = State.load(tmp_path, frozenset())
    assert after.postgres_port != before.postgres_port
    assert after.webhook_secret == before.webhook_secret


def test_a_port_that_was_asked_for_is_never_made(tmp_path: Path) -> None:
    """A port that was asked for is never made."""
    before = State.load(tmp_path, frozenset())
    after = State.load(tmp_path, frozenset({before.s3_ports[2]}))
    assert before.s3_ports[2] not in {after.postgres_port, *after.s3_ports}


def test_a_state_that_lacks_something_is_not_made_up(tmp_path: Path) -> None:
    """A state that lacks something is not made up."""
    State.load(tmp_path, frozenset())
    file = tmp_path / "state.json"
    file.write_text(file.read_text().replace("postgres_password", "password"))
    with pytest.raises(StackError, match="lacks postgres_password"):
        State.load(tmp_path, frozenset())


def test_only_the_owner_reads_the_state(tmp_path: Path) -> None:
    """Only the owner reads the state."""
    State.load(tmp_path, frozenset())
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600


def test_an_environment_value_of_two_lines_is_refused(tmp_path: Path) -> None:
    """An environment value of two lines is refused."""
    with pytest.raises(StackError, match="WHATSAPP_WEBHOOK_SECRET must be one line"):
        write_environment(tmp_path / "env", {"WHATSAPP_WEBHOOK_SECRET": "one\ntwo"})


def test_a_lock_is_held_once(tmp_path: Path) -> None:
    """A lock is held once."""
    with locked(tmp_path), pytest.raises(StackError, match="another `wpp-lake up`"), locked(tmp_path):
        pass


# --- ports and patience


def test_a_port_that_something_listens_on_is_not_free() -> None:
    """A port that something listens on is not free."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not is_free(server.getsockname()[1])


def test_free_ports_are_different_ones() -> None:
    """Free ports are different ones."""
    assert len(set(free_ports(20))) == 20


def test_waiting_ends_with_what_was_answered_last() -> None:
    """Waiting ends with what was answered last."""
    with pytest.raises(NotReadyError, match=r"the server didn't answer within 0 s: division by zero"):
        wait_until(lambda: 1 / 0, "the server", seconds=0.1)
