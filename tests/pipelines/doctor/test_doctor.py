"""`wpp-lake doctor`: each thing that it looks at, well and really broken."""

import json
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import psycopg
import pytest
from aiohttp import web
from command import wpp_lake
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo
from factories import SECRET, event, line
from fault_proxy import Fault, Forward, fault_proxy
from lake import Lake
from pydantic import HttpUrl, Secret, SecretStr
from receiver_process import landed, start_receiver
from roles import url
from servers import bucket
from stack_process import Running, running, wait_for
from watcher import Watcher, watching

from devstack.postgres import Postgres
from devstack.waiting import free_ports
from pipelines.doctor import database, disk, receiver, store, webhook_secrets
from pipelines.doctor.checks import checks
from pipelines.doctor.findings import Finding, examine
from pipelines.orchestration import daemon_health
from pipelines.orchestration.code_server import SOCKET
from pipelines.settings import LakeSettings
from receiver.landing import new_key

if TYPE_CHECKING:
    from servers import S3

pytestmark = pytest.mark.stack

STRONG = "4f1d0c6a9be27358" * 4
OLDER = "delete from schema_migrations where version = '20261127010000'"
NEWER = "insert into schema_migrations values ('20990101000000')"
NOBODY = "http://127.0.0.1:1"


def changed(lake: Lake, **settings: Any) -> LakeSettings:
    """Return the lake's settings with some of them replaced."""
    return lake.settings.model_copy(update=settings)


def levels(findings: Iterator[Finding]) -> dict[str, str]:
    """Return the level of each check, the worst of several."""
    worst: dict[str, str] = {}
    order = ("ok", "note", "failure")
    for finding in findings:
        worst[finding.check] = max(worst.get(finding.check, "ok"), finding.level, key=order.index)
    return worst


def only(findings: Iterator[Finding], check: str) -> Finding:
    """Return the one finding of a check."""
    [finding] = [finding for finding in findings if finding.check == check]
    return finding


# --- Secrets ---


@pytest.mark.parametrize(
    ("secret", "others", "said"),
    [
        (None, {}, "isn't set"),
        (f"{STRONG} ", {}, "white space"),
        ("\ufeff" + STRONG, {}, "white space"),
        ("a-short-one", {}, "shorter than 16 bytes"),
        ("abababababababababab", {}, "few different characters"),
        ("test-secret", {}, "public example"),
        (STRONG, {"whatsapp_webhook_previous_secrets": (SecretStr(STRONG),)}, "among the previous ones"),
        (STRONG, {"whatsapp_webhook_retired_secrets": (SecretStr(STRONG),)}, "among the retired ones"),
    ],
)
def test_a_secret_that_is_none_is_a_failure(lake: Lake, secret: str | None, others: dict[str, Any], said: str) -> None:
    settings = changed(lake, whatsapp_webhook_secret=secret and SecretStr(secret), **others)
    found = only(webhook_secrets.check(settings), "secret")
    assert (found.level, said in found.found) == ("failure", True)
    assert (secret or "no secret").strip("\ufeff ") not in str(found)


def test_a_strong_secret_without_former_ones_is_well(lake: Lake) -> None:
    settings = changed(lake, whatsapp_webhook_secret=SecretStr(STRONG))
    assert levels(webhook_secrets.check(settings)) == {"secret": "ok", "former secrets": "ok"}


def test_a_rotation_that_is_not_over_is_a_note(lake: Lake) -> None:
    previous = (SecretStr("f00d5eed1234abcd" * 2),)
    settings = changed(lake, whatsapp_webhook_secret=SecretStr(STRONG), whatsapp_webhook_previous_secrets=previous)
    assert levels(webhook_secrets.check(settings)) == {"secret": "ok", "former secrets": "note"}


def test_a_weak_secret_that_senders_may_still_use_is_a_failure(lake: Lake) -> None:
    settings = changed(
        lake, whatsapp_webhook_secret=SecretStr(STRONG), whatsapp_webhook_previous_secrets=(SecretStr("short"),)
    )
    assert levels(webhook_secrets.check(settings)) == {"secret": "ok", "former secrets": "failure"}


# --- Database ---


def test_a_database_that_is_not_there_is_a_failure_and_the_other_checks_run(lake: Lake) -> None:
    settings = changed(lake, database_url=SecretStr("postgresql://wpp_lake:hidden@127.0.0.1:1/wpp_lake"))
    found = list(examine(checks(settings, None)))
    assert only(iter(found), "database").level == "failure"
    assert only(iter(found), "landing bucket").level == "ok"
    assert "hidden" not in " ".join(map(str, found))


def test_a_password_that_breaks_the_connection_string_is_not_told(lake: Lake) -> None:
    settings = changed(lake, database_url=SecretStr("postgresql://wpp_lake:hid@den/x@127.0.0.1:1/wpp_lake"))
    found = " ".join(map(str, examine(checks(settings, None))))
    assert "can't be read" in found
    assert "den" not in found.replace("hidden", "")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (OLDER, "older than this wpp-lake"),
        (NEWER, "newer than this wpp-lake"),
        ("drop table schema_migrations", "older than this wpp-lake"),
    ],
)
def test_another_schema_is_a_failure(lake: Lake, change: str, said: str) -> None:
    lake.connection.execute(change.encode())
    found = only(database.check(lake.settings), "schema")
    assert (found.level, said in found.found) == ("failure", True)


@pytest.mark.parametrize(("role", "level"), [("wpp_loader", "ok"), ("wpp_owner", "note"), ("wpp_reader", "failure")])
def test_the_role_may_do_what_loading_needs_and_no_more(lake: Lake, roles: Postgres, role: str, level: str) -> None:
    found = only(database.check(changed(lake, database_url=SecretStr(url(roles, role)))), "role")
    assert (found.level, role in found.found) == (level, True)


def test_a_right_that_was_taken_from_the_loader_is_named(lake: Lake, roles: Postgres) -> None:
    with psycopg.connect(url(roles, "wpp_owner"), autocommit=True) as owner:
        owner.execute("revoke update on whatsapp_groups from wpp_loader")
        try:
            found = only(database.check(changed(lake, database_url=SecretStr(url(roles, "wpp_loader")))), "role")
        finally:
            owner.execute("grant update on whatsapp_groups to wpp_loader")
    assert (found.level, "update on whatsapp_groups" in found.found) == ("failure", True)


def test_a_superuser_is_a_note(lake: Lake) -> None:
    assert only(database.check(lake.settings), "role").level == "note"


# --- The store ---


def test_a_store_with_both_buckets_is_well_and_nothing_is_left_in_them(lake: Lake) -> None:
    assert levels(store.check(lake.settings)) == {
        "clock": "ok", "landing bucket": "ok", "versions": "note", "snapshot bucket": "ok", "conditional put": "ok",
    }  # fmt: skip
    for name in (lake.settings.landing_bucket, lake.settings.snapshot_bucket):
        assert "Contents" not in lake.client.list_objects_v2(Bucket=name)


def test_where_there_are_versions_no_probe_leaves_one(lake: Lake) -> None:
    with bucket(lake.client, "landing") as landing, bucket(lake.client, "snapshots") as snapshots:
        for name in (landing, snapshots):
            lake.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        settings = changed(lake, landing_bucket=landing, snapshot_bucket=snapshots)
        assert levels(store.check(settings))["versions"] == "ok"
        assert only(store.check_receiver(settings, key_of(lake)), "receiver's limits").level == "failure"
        listed = [lake.client.list_object_versions(Bucket=name) for name in (landing, snapshots)]
    assert [each["Key"] for each in listed[0].get("Versions", ())] == [".readyz"]
    assert [
        *listed[0].get("DeleteMarkers", ()),
        *listed[1].get("Versions", ()),
        *listed[1].get("DeleteMarkers", ()),
    ] == []


def key_of(lake: Lake) -> dict[str, str]:
    """Return the lake's own key as the receiver's, which may do everything."""
    assert lake.settings.store_keys
    return dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), lake.settings.store_keys[:2], strict=True))


def test_a_store_that_is_not_there_is_a_failure_and_the_other_checks_run(lake: Lake) -> None:
    found = levels(examine(checks(changed(lake, aws_endpoint_url_s3=NOBODY), None)))
    assert (found["store"], found["database"]) == ("failure", "ok")


@pytest.mark.parametrize("name", ["landing_bucket", "snapshot_bucket"])
def test_a_bucket_that_is_not_there_is_a_failure(lake: Lake, name: str) -> None:
    found = levels(store.check(changed(lake, **{name: "no-such-bucket"})))
    assert [check for check, level in found.items() if level == "failure"] == [name.replace("_", " ")]


def answers_with(**headers: str) -> Fault:
    """Answer what the store does, with other headers."""

    async def fault(forward: Forward) -> web.Response:
        answer = await forward()
        answer.headers.update(headers)
        return answer

    return fault


def test_a_clock_that_is_off_is_told_by_how_much(lake: Lake, s3: "S3") -> None:
    """The store's answers have a date that is behind this machine's."""
    found = {}
    with fault_proxy(s3) as proxy:
        for seconds in (100, 1000):
            date = format_datetime(datetime.now(UTC) - timedelta(seconds=seconds), usegmt=True)
            proxy.always(answers_with(Date=date))
            finding = only(store.check(changed(lake, aws_endpoint_url_s3=proxy.endpoint)), "clock")
            found[seconds] = finding.level, "ahead of" in finding.found
    assert found == {100: ("note", True), 1000: ("failure", True)}


async def ignores_conditions(forward: Forward) -> web.Response:
    """Answer as a store does that puts over what is there."""
    answer = await forward()
    return web.Response(status=200, headers=answer.headers) if answer.status == 412 else answer


def test_a_store_that_puts_over_what_is_there_is_a_failure(lake: Lake, s3: "S3") -> None:
    with fault_proxy(s3) as proxy:
        proxy.always(ignores_conditions)
        settings = changed(lake, aws_endpoint_url_s3=proxy.endpoint)
        assert only(store.check(settings), "conditional put").level == "failure"
        assert only(store.check_receiver(settings, key_of(lake)), "conditional put").level == "failure"


def test_a_receiver_that_may_delete_is_a_failure_where_the_store_can_forbid_it(lake: Lake, s3: "S3") -> None:
    found = only(store.check_receiver(lake.settings, key_of(lake)), "receiver's limits")
    assert (found.level, "may read, list, delete" in found.found) == ("failure", True)
    with fault_proxy(s3) as proxy:
        proxy.always(answers_with(Server="a store without policies"))
        settings = changed(lake, aws_endpoint_url_s3=proxy.endpoint)
        assert only(store.check_receiver(settings, key_of(lake)), "receiver's limits").level == "note"


def test_a_receivers_key_that_is_not_known_here_is_a_note_that_says_how(lake: Lake) -> None:
    [found] = store.check_receiver(lake.settings, {})
    assert (found.level, "--receiver-env" in found.remedy) == ("note", True)


def test_a_receivers_key_that_is_none_is_a_failure(lake: Lake) -> None:
    wrong = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "x"}
    assert only(store.check_receiver(lake.settings, wrong), "receiver's key").level == "failure"


# --- The receiver ---


def ask(lake: Lake, receiver_url: str, secret: str = SECRET, **its: str) -> dict[str, str]:
    """Return the findings on a receiver."""
    settings = changed(lake, whatsapp_webhook_secret=SecretStr(secret), wpp_lake_receiver_url=receiver_url)
    return levels(receiver.check(settings, its))


@pytest.mark.parametrize("contracts", ["current,first", "first"])
def test_a_signed_post_is_verified_and_not_stored(lake: Lake, s3: "S3", contracts: str) -> None:
    bucket = lake.settings.landing_bucket
    with start_receiver(s3, bucket, RECEIVER_CONTRACTS=contracts) as running_receiver:
        assert ask(lake, running_receiver.url) == {"receiver": "ok", "signed post": "ok"}
        assert running_receiver.stop() == 0
    assert landed(lake.client, bucket) == []


def test_a_receiver_with_another_secret_is_a_failure(lake: Lake, s3: "S3") -> None:
    with start_receiver(s3, lake.settings.landing_bucket) as running_receiver:
        assert ask(lake, running_receiver.url, STRONG) == {"receiver": "ok", "signed post": "failure"}


def test_readiness_with_a_port_of_its_own_is_asked_there_once_it_is_known(lake: Lake, s3: "S3") -> None:
    [port] = free_ports(1)
    with start_receiver(
        s3, lake.settings.landing_bucket, wait_ready=False, RECEIVER_ADMIN_PORT=str(port)
    ) as running_receiver:
        its = {"RECEIVER_ADMIN_PORT": str(port)}
        wait_for(lambda: ask(lake, running_receiver.url, **its)["receiver"] == "ok", "readiness")
        assert ask(lake, running_receiver.url) == {"receiver": "note", "signed post": "ok"}


def test_a_receiver_that_can_not_land_is_a_failure(lake: Lake, s3: "S3") -> None:
    with start_receiver(s3, "no-such-bucket", wait_ready=False) as running_receiver:
        assert ask(lake, running_receiver.url)["receiver"] == "failure"


def test_nobody_where_the_receiver_should_be_is_a_failure(lake: Lake) -> None:
    assert ask(lake, NOBODY) == {"receiver": "failure"}


def test_something_else_where_the_receiver_should_be_is_a_failure(lake: Lake, s3: "S3") -> None:
    assert ask(lake, s3.endpoint)["signed post"] == "failure"


# --- The disk ---


@pytest.mark.parametrize(("size", "level"), [(1000, "ok"), (10**15, "failure")])
def test_a_disk_that_is_full_within_a_week_is_a_failure(lake: Lake, tmp_path: Path, size: int, level: str) -> None:
    """A petabyte that was landed today."""
    (tmp_path / "s3").mkdir()
    lake.land(line(event()))
    lake.load()
    moved = "update landing_files set key = %s, size = %s"
    lake.connection.execute(moved, [new_key(datetime.now(UTC)), size])
    assert [found.level for found in disk.check(changed(lake, wpp_lake_data_dir=tmp_path))] == [level]


def test_a_database_on_this_machine_counts_without_the_files_of_a_store_elsewhere(lake: Lake, tmp_path: Path) -> None:
    lake.land(line(event()))
    lake.load()
    lake.connection.execute("update landing_files set key = %s, size = 10^15", [new_key(datetime.now(UTC))])
    assert [found.level for found in disk.check(changed(lake, dagster_home=tmp_path))] == ["ok"]


def test_how_long_a_disk_lasts_is_not_told_where_nothing_landed_of_late(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    [found] = disk.check(changed(lake, wpp_lake_data_dir=tmp_path))
    assert (found.level, "nothing landed within the last week" in found.found) == ("ok", True)


def test_disks_elsewhere_are_a_note(lake: Lake, tmp_path: Path) -> None:
    elsewhere = SecretStr("postgresql://wpp_loader@db.example.org/wpp_lake")
    [found] = disk.check(changed(lake, database_url=elsewhere, dagster_home=tmp_path))
    assert found.level == "note"


# --- The command ---


def test_the_command_tells_a_line_per_finding_and_fails_for_any_failure(
    lake: Lake, s3: "S3", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "receiver.env").write_text(
        f"# the receiver's\nAWS_ACCESS_KEY_ID={s3.access_key}\nAWS_SECRET_ACCESS_KEY='{s3.secret_key}'\n"
    )
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", STRONG)
    monkeypatch.setenv("WPP_LAKE_RECEIVER_URL", NOBODY)
    words = ("doctor", "--receiver-env", tmp_path / "receiver.env")
    done = wpp_lake(*words)
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(wpp_lake(*words, "--json").stdout)
    assert found["ok"] is False
    assert [each["check"] for each in found["findings"] if each["level"] == "failure"] == [
        "receiver's limits",
        "receiver",
    ]
    assert len(done.stdout.splitlines()) == len(found["findings"])
    assert [secret for secret in (STRONG, s3.secret_key) if secret in done.stdout] == []
    assert all(each["remedy"] for each in found["findings"] if each["level"] == "failure")
    assert lake.rows("select 1") == [(1,)]


@pytest.mark.parametrize(
    ("verb", "change"),
    [
        (["load"], OLDER),
        (["load", "--hour", "2026-05-21-04:00"], NEWER),
        (["rebuild"], OLDER),
        (["quarantine", "retry"], NEWER),
    ],
)
def test_a_loader_on_another_schema_refuses_with_that_word(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: list[str], change: str
) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    lake.land(line(event()))
    lake.connection.execute(change.encode())
    done = wpp_lake(*verb)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("wpp-lake: the database's schema is ")
    assert lake.rows("select count(*) from whatsapp_events") == [(0,)]


def test_a_loader_that_may_not_ask_for_the_schema_refuses_with_that_word(
    lake: Lake, roles: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(url(roles, "wpp_owner"), autocommit=True) as owner:
        owner.execute("revoke select on schema_migrations from wpp_loader")
        try:
            monkeypatch.setenv("DATABASE_URL", url(roles, "wpp_loader"))
            done = wpp_lake("rebuild")
        finally:
            owner.execute("grant select on schema_migrations to wpp_loader")
    assert (done.returncode, "schema can't be told by this role" in done.stderr) == (1, True)
    assert lake.rows("select 1") == [(1,)]


# --- Beside a running stack ---


TELLING = {"HEARTBEAT_URL": "heartbeat", "ALERT_WEBHOOK_URL": "alerts"}


@pytest.fixture(scope="module")
def watcher() -> Iterator[Watcher]:
    """Run the service that is told how the lake is."""
    with watching() as watcher:
        yield watcher


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, watcher: Watcher) -> Iterator[Running]:
    """Run `up` with the sensors that tell others."""
    settings = {"WHATSAPP_WEBHOOK_SECRET": STRONG, **dict.fromkeys(TELLING, watcher.url)}
    with running("up", tmp_path_factory.mktemp("doctor") / "lake", **settings) as up:
        up.line("READY")
        yield up


@pytest.fixture
def instance(up: Running, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """Open the running Dagster's storage, with its settings in the environment."""
    for name, value in {**up.environment(), **dict.fromkeys(TELLING, watcher.url)}.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        yield instance


def dagster_levels() -> dict[str, str]:
    """Return what is found of Dagster."""
    return levels(iter(daemon_health.check(LakeSettings.from_environment())))


WELL = {
    "dagster-code": "ok", "dagster-daemon": "ok", "sensor new_landing_files": "ok", "cursor new_landing_files": "ok",
    "sensor stale_snapshots": "ok", "cursor stale_snapshots": "ok", "sensor heartbeat": "ok", "sensor alerts": "ok",
}  # fmt: skip


@pytest.mark.usefixtures("instance")
def test_a_fresh_stack_is_well(up: Running) -> None:
    """Nothing is to be mended; that its database role may do everything, and its store keeps no versions, is told."""
    wait_for(lambda: dagster_levels() == WELL, "the sensors' first ticks")
    for name in up.environment():
        os.environ.pop(name)
    done = wpp_lake("doctor", "--json", "--data-dir", up.data_dir)
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"]) == (0, True), done.stdout
    assert [each["check"] for each in found["findings"] if each["level"] == "note"] == ["role", "versions"]
    assert "landing bucket" in {each["check"] for each in found["findings"]}
    limits = only(iter([Finding(**each) for each in found["findings"]]), "receiver's limits")
    assert (limits.level, "neither read, list nor delete" in limits.found) == ("ok", True)


def state_of(instance: dg.DagsterInstance, name: str) -> InstigatorState:
    """Return what Dagster's storage has of a sensor."""
    states = instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
    return next(state for state in states if state.name == name)


@pytest.mark.parametrize("sensor", ["new_landing_files", *TELLING.values()])
def test_a_stopped_sensor_is_a_failure_until_it_is_started(instance: dg.DagsterInstance, sensor: str) -> None:
    def sets(status: InstigatorStatus, level: str) -> bool:
        """Set it until it holds: a tick that has begun writes the state that it found."""
        instance.update_instigator_state(state_of(instance, sensor).with_status(status))
        return dagster_levels()[f"sensor {sensor}"] == level

    wait_for(lambda: dagster_levels() == WELL, "the sensors' first ticks")
    wait_for(partial(sets, InstigatorStatus.STOPPED, "failure"), "a stopped sensor")
    wait_for(partial(sets, InstigatorStatus.RUNNING, "ok"), "a running sensor")


@pytest.mark.parametrize(("setting", "sensor"), TELLING.items())
def test_a_sensor_that_tells_others_and_does_not_is_a_failure_where_it_is_set(
    instance: dg.DagsterInstance, setting: str, sensor: str
) -> None:
    error = SerializableErrorInfo("the code server is gone", [], None)

    def is_found() -> bool:
        """Note a failed tick until it is the last one."""
        state, now = state_of(instance, sensor), datetime.now(UTC).timestamp()
        failed = TickData(
            state.instigator_origin_id, sensor, InstigatorType.SENSOR, TickStatus.FAILURE, now, error=error,
            selector_id=state.selector_id,
        )  # fmt: skip
        instance.create_tick(failed)
        return dagster_levels()[f"sensor {sensor}"] == "failure"

    wait_for(lambda: set(WELL) == set(dagster_levels()), "the sensors' first ticks")
    wait_for(is_found, "the failed tick")
    os.environ.pop(setting)
    assert f"sensor {sensor}" not in dagster_levels()


@pytest.mark.usefixtures("dagster_home")
@pytest.mark.parametrize(("setting", "sensor"), TELLING.items())
def test_a_sensor_that_a_code_server_does_not_know_yet_is_a_note_that_says_why(
    lake: Lake, setting: str, sensor: str
) -> None:
    """It was started before the setting was made."""
    url = Secret[HttpUrl](HttpUrl("https://watcher.example.org"))
    settings = changed(lake, dagster_postgres_url=SecretStr("postgresql+psycopg2://x"), **{setting.lower(): url})
    found = only(iter(daemon_health.check(settings)), f"sensor {sensor}")
    assert (found.level, f"The code server reads {setting} at its start" in found.remedy) == ("note", True)


@pytest.mark.parametrize(
    ("sensor", "cursor"),
    [
        ("stale_snapshots", "2099-01-01T00:00:00+00:00"),
        ("new_landing_files", "2026-01-01T00:00:00+00:00"),
        ("stale_snapshots", "no time"),
    ],
)
def test_a_cursor_in_the_future_or_that_stands_still_is_a_failure(
    instance: dg.DagsterInstance, sensor: str, cursor: str
) -> None:
    def is_found() -> bool:
        """Set it until it is there: a tick that has begun writes its own."""
        state = state_of(instance, sensor)
        assert isinstance(state.instigator_data, SensorInstigatorData)
        instance.update_instigator_state(state.with_data(state.instigator_data._replace(cursor=cursor)))
        return dagster_levels()[f"cursor {sensor}"] == "failure"

    wait_for(lambda: set(WELL) == set(dagster_levels()), "the sensors' first ticks")
    wait_for(is_found, "the cursor")


def test_a_daemon_whose_heart_no_longer_beats_is_a_failure(up: Running, instance: dg.DagsterInstance) -> None:
    """Halted, with heartbeats of an hour ago."""
    daemon = up.pids()["dagster-daemon"]
    os.kill(daemon, signal.SIGSTOP)
    try:
        for kind, beat in instance.get_daemon_heartbeats().items():
            old = DaemonHeartbeat(beat.timestamp - 3600, kind, beat.daemon_id, [])
            instance.add_daemon_heartbeat(old)
        assert dagster_levels()["dagster-daemon"] == "failure"
    finally:
        os.kill(daemon, signal.SIGCONT)


@pytest.mark.usefixtures("up")
def test_a_code_server_that_is_gone_is_a_failure(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """The same lake, with nobody at the socket."""
    (tmp_path / SOCKET).parent.mkdir()
    settings = LakeSettings.from_environment(wpp_lake_data_dir=None, dagster_grpc_socket=tmp_path / SOCKET)
    assert levels(iter(daemon_health.check(settings)))["dagster-code"] == "failure"
    assert instance.is_persistent


def test_without_dagster_there_is_a_note(lake: Lake, tmp_path: Path) -> None:
    """Where it isn't set, and where `up` was started without."""
    (tmp_path / "processes.json").write_text('{"processes": [{"name": "receiver", "pid": 1}]}')
    without = changed(lake, wpp_lake_data_dir=tmp_path, dagster_postgres_url=SecretStr("postgresql+psycopg2://x"))
    assert [levels(iter(daemon_health.check(each))) for each in (lake.settings, without)] == [
        {"dagster-daemon": "note"}
    ] * 2
