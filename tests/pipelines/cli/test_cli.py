"""The command: its verbs, its exit codes, and what it says when something is wrong."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import typer
from command import wpp_lake
from factories import PATHS, RECEIVED, event, event_id, group, headers, line, message, participant, sign
from lake import SAMPLE, Lake
from receiver_process import start_receiver

from devstack.waiting import wait_until
from pipelines.cli.main import with_stack_commands
from pipelines.cli.verbs import PANELS
from pipelines.db.queries import query
from pipelines.parsing.extraction import RULES_VERSION
from pipelines.snapshots.schemas import SCHEMAS
from receiver.landing import encode_line

if TYPE_CHECKING:
    from servers import S3


# The part of `status --json` that doesn't change; docs/spec.md has the others.
FIXED = ("processes", "counts", "snapshots", "missing_files", "changed_files", "load_verify", "rules", "errors")


def test_the_verbs_are_these() -> None:
    shown = [wpp_lake(*words, "--help").stdout for words in ([], ["quarantine"], ["erase"])]
    assert [sorted(re.findall(r"^│ (\w+)", text, re.MULTILINE)) for text in shown] == [
        ["demo", "doctor", "env", "erase", "expire", "export", "load", "migrate", "notebooks", "prune", "quarantine",
         "rebuild", "reconcile", "send", "snapshot", "sql", "status", "trace", "up", "verify"],
        ["discard", "ls", "retry", "show"],
        ["apply", "lift", "ls", "plan", "sweep", "verify"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "words",
    ["env", "migrate", "send requests.jsonl", "load", "snapshot", "verify", "reconcile",
     f"trace {event_id()}", "rebuild", "prune", "status", "doctor",
     "quarantine ls", f"quarantine show {event_id()}", "quarantine retry",
     f"quarantine discard {event_id()} --reason none"],
)  # fmt: skip
def test_without_a_lake_a_verb_says_so_in_one_line(words: str, tmp_path: Path) -> None:
    done = wpp_lake(*words.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "no lake found" in done.stderr


def test_every_verb_has_its_place_in_the_help_and_an_example_that_is_one() -> None:
    shown = [name for verbs in PANELS.values() for name in verbs]
    found = typer.main.get_command(with_stack_commands())
    groups = ["quarantine", "erase"]
    assert list(found.commands) == [*(name for name in shown if name not in groups), *groups]  # type: ignore[attr-defined]  # a group has commands
    for verbs in PANELS.values():
        for name, words in verbs.items():
            assert f"wpp-lake {name}" in words


def test_the_version_is_that_of_the_package() -> None:
    assert wpp_lake("--version").stdout.startswith(f"wpp-lake {version('wpp-lake')} (rules {RULES_VERSION}, ")


@pytest.mark.usefixtures("lake")
def test_an_error_of_a_server_has_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    said = wpp_lake("quarantine", "ls").stderr.splitlines()
    assert said[0].startswith("wpp-lake: OperationalError: ")
    assert said[1].startswith("hint: does PostgreSQL run where DATABASE_URL leads?")


@pytest.mark.usefixtures("lake")
def test_nothing_is_said_too_and_a_missing_file_by_its_name(tmp_path: Path) -> None:
    assert wpp_lake("quarantine", "ls").stdout == "no open entries\n"
    assert wpp_lake("quarantine", "ls", "--state", "all").stdout == "no entries\n"
    missing = wpp_lake("send", tmp_path / "nope.jsonl")
    assert (missing.returncode, missing.stderr) == (1, f"wpp-lake: {tmp_path}/nope.jsonl: No such file or directory\n")


@pytest.mark.usefixtures("lake_environment")
def test_quiet_leaves_the_results(
    s3: "S3", landing_bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one.jsonl").write_bytes(event())
    with start_receiver(s3, landing_bucket) as receiver:
        monkeypatch.setenv("WPP_LAKE_RECEIVER_URL", receiver.url)
        assert "sending one.jsonl" in wpp_lake("send", "--sign", tmp_path / "one.jsonl").stderr
        quiet = wpp_lake("--quiet", "send", "--sign", tmp_path / "one.jsonl")
    assert (quiet.stdout, quiet.stderr) == ("sent 1: 1 duplicate\n", "")


@pytest.mark.usefixtures("lake")
def test_verbose_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    assert "Traceback" in wpp_lake("-v", "quarantine", "ls").stderr


def test_the_environment_is_printed_for_a_shell(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("DATABASE_URL=postgresql://u:p$1'@h/d\nAWS_REGION=us-east-1\n")
    printed = wpp_lake("env", "--data-dir", tmp_path).stdout
    shell = subprocess.run(  # noqa: S602  the point of the test
        f'{printed}\nprintf %s "$DATABASE_URL"', shell=True, capture_output=True, text=True, check=True
    )
    assert shell.stdout == "postgresql://u:p$1'@h/d"


def test_the_data_directory_says_where_the_lake_is(
    lake: Lake, lake_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in lake_environment.items()))
    for name in lake_environment:
        monkeypatch.delenv(name)
    lake.land(line(event()))
    assert wpp_lake("rebuild", "--data-dir", tmp_path).stdout.startswith("1 files, 1 lines: 1 loaded")


@pytest.mark.usefixtures("dagster_home")
def test_load_snapshot_and_status(lake: Lake) -> None:
    lake.land(line(event(), 1), b"not json\n", line(event(), 1))
    assert wpp_lake("load", "--hour", "2026-05-21-04:00").stdout == (
        "1 files, 3 lines: 1 loaded, 1 duplicates, 1 quarantined\n"
    )
    lake.land(line(event(), 2), b"still not json")
    assert wpp_lake("snapshot", "--date", "2026-05-21").stdout == (
        f"s3://{lake.settings.snapshot_bucket}/whatsapp_events/date=2026-05-21/whatsapp_events.parquet: 1 rows\n"
        f"s3://{lake.settings.snapshot_bucket}/payload_fields/date=2026-05-21/payload_fields.parquet: 10 rows\n"
    )
    found = json.loads(wpp_lake("status", "--json").stdout)
    assert [sorted(disk) for disk in found.pop("disks")] == [["free_bytes", "holds", "low", "path", "total_bytes"]]
    assert {name: found[name] for name in FIXED} == {
        "processes": [],
        "counts": {
            "landed_files": 2,
            "landed_events": 5,
            "loaded_events": 2,
            "quarantined": 1,
            "whatsapp_groups": 1,
            "whatsapp_participants": 1,
            "whatsapp_events": 1,
        },
        "snapshots": {
            "whatsapp_events": "2026-05-21",
            "whatsapp_groups": None,
            "whatsapp_participants": None,
            "whatsapp_participant_jids": None,
        },
        "missing_files": [],
        "changed_files": [],
        "load_verify": True,
        "rules": {"oldest": 2, "current": 2},
        "errors": [],
    }
    assert found["quarantine"] == {"open": {"bad_line": 1}}
    assert found["rows"]["whatsapp_participant_jids"] == 2
    assert {table: (file["date"], file["rows"]) for table, file in found["snapshot_files"].items()} == {
        "whatsapp_events": ("2026-05-21", 1),
        "payload_fields": ("2026-05-21", 10),
    }
    newest, waiting = (datetime.fromisoformat(found["lateness"][name]) for name in ("newest_at", "since"))
    assert newest == waiting
    assert (found["lateness"]["files"], found["lateness"]["is_loaded"]) == (1, False)


@pytest.mark.parametrize(
    ("verb", "option", "value"),
    [
        ("load", "--hour", "soon"),
        ("load", "--hour", ""),
        ("verify", "--hour", ""),
        ("snapshot", "--date", "2025-01-01"),
    ],
)
@pytest.mark.usefixtures("lake_environment", "dagster_home")
def test_a_partition_that_is_not_there_is_refused(verb: str, option: str, value: str) -> None:
    done = wpp_lake(verb, option, value)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert value in done.stderr


@pytest.mark.usefixtures("lake_environment")
def test_status_reports_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://wpp_lake@127.0.0.1:1/nothing")
    done = wpp_lake("status", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["counts"], set(found["snapshots"])) == (0, {}, set(SCHEMAS))
    assert [f"wpp-lake: {error}\n" for error in found["errors"]] == [done.stderr]


@pytest.mark.usefixtures("lake_environment")
def test_status_fails_when_nothing_can_be_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://wpp_lake@127.0.0.1:1/nothing")
    monkeypatch.setenv("SNAPSHOT_BUCKET", "no-such-bucket")
    assert wpp_lake("status").returncode == 1


@pytest.mark.usefixtures("dagster_home")
def test_a_load_that_can_not_finish_says_why(lake: Lake) -> None:
    lake.land(line(event()))
    lake.connection.execute("drop table event_days")
    done = wpp_lake("load")
    assert (done.returncode, done.stdout) == (1, "")
    assert "event_days" in done.stderr.splitlines()[-1]


@pytest.mark.usefixtures("lake_environment")
def test_send_replays_signed_requests(lake: Lake, s3: "S3", monkeypatch: pytest.MonkeyPatch) -> None:
    with start_receiver(s3, lake.settings.landing_bucket) as receiver:
        monkeypatch.setenv("WPP_LAKE_RECEIVER_URL", receiver.url)
        done = wpp_lake("send", SAMPLE)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("sent 300: ")


@pytest.mark.usefixtures("lake_environment")
def test_send_fails_when_a_request_is_refused(
    lake: Lake, s3: "S3", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = {"method": "POST", "path": PATHS["current"], "headers": headers(event(), event_id()), "body": "{}"}
    (tmp_path / "requests.jsonl").write_text(json.dumps(request))
    with start_receiver(s3, lake.settings.landing_bucket) as receiver:
        monkeypatch.setenv("WPP_LAKE_RECEIVER_URL", receiver.url)
        done = wpp_lake("send", tmp_path / "requests.jsonl")
    assert (done.returncode, done.stdout) == (1, "sent 1: 1 401\n")


@pytest.mark.usefixtures("lake_environment")
@pytest.mark.parametrize(
    "line",
    [b'{"method": "POST"}', b'{"method":5,"path":"/","headers":{},"body":""}', b"\xff\xfe\x00", b"[]", b"nothing",
     b'{"method":"POST","path":"http://127.0.0.1:1/","headers":{},"body":""}',
     b'{"method":"POST","path":"//127.0.0.1:1/","headers":{},"body":""}',
     b'{"method":"POST","path":"/","headers":{"X":null},"body":""}'],
)  # fmt: skip
def test_send_says_which_line_is_no_request(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "requests.jsonl").write_bytes(line + b"\n")
    done = wpp_lake("send", tmp_path / "requests.jsonl")
    assert (done.returncode, done.stdout) == (1, "")
    assert "requests.jsonl:1: not a request" in done.stderr.splitlines()[-1]


@pytest.mark.usefixtures("lake_environment")
def test_what_the_environment_prints_leads_past_a_proxy(
    lake: Lake, lake_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    lake.land(line(event(), 1, now), at=now)
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in lake_environment.items()))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.invalid")
    command = f"{sys.executable} -m pipelines.cli"
    script = f'eval "$({command} env --data-dir {tmp_path})"; {command} status'
    shell = subprocess.run(script, shell=True, capture_output=True, text=True, check=True)  # noqa: S602  its purpose
    assert (re.findall(r"waiting +(\d+) file,", shell.stdout), shell.stderr) == (["1"], "")


@pytest.mark.parametrize("verb", ["status", "up"])
def test_an_empty_data_directory_is_not_the_one_it_runs_in(verb: str, tmp_path: Path) -> None:
    done = wpp_lake(verb, "--data-dir", "", cwd=tmp_path)
    assert (done.returncode, list(tmp_path.iterdir())) == (2, [])
    assert "is empty" in done.stderr


@pytest.mark.parametrize("url", ["", None])
def test_the_data_directory_wins_over_what_leads_elsewhere(
    lake: Lake,
    lake_environment: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    url: str | None,
) -> None:
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in lake_environment.items()))
    for name in lake_environment:
        monkeypatch.delenv(name)
    foreign = {
        "AWS_SESSION_TOKEN": "x",
        "AWS_PROFILE": "none",
        "http_proxy": "http://127.0.0.1:9",
        "PGSSLMODE": "require",
    }
    for name, value in foreign.items() if url is None else [("DATABASE_URL", url)]:
        monkeypatch.setenv(name, value)
    lake.land(line(event()))
    assert wpp_lake("rebuild", "--data-dir", tmp_path).stdout.startswith("1 files, 1 lines: 1 loaded")


@pytest.mark.usefixtures("lake")
def test_bodies_are_signed_and_sent_and_the_same_one_is_one_event(
    lake: Lake, s3: "S3", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"type": "messages.upsert", "chat_jid": group(), "payload": message(participant(), text="olá")})
    (tmp_path / "bodies.jsonl").write_text(f"{body}\n\n")
    with start_receiver(s3, lake.settings.landing_bucket) as receiver:
        monkeypatch.setenv("WPP_LAKE_RECEIVER_URL", receiver.url)
        assert wpp_lake("send", "--sign", tmp_path / "bodies.jsonl").stdout == "sent 1: 1 accepted\n"
        again = subprocess.run(
            [sys.executable, "-m", "pipelines.cli", "send", "--sign", "-"],
            input=body, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert again.stdout == "sent 1: 1 duplicate\n"
        monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", "")
        assert "nothing to sign with" in wpp_lake("send", "--sign", tmp_path / "bodies.jsonl").stderr
    assert lake.load(datetime.now(UTC)).loaded == 1


@pytest.mark.usefixtures("dagster_home")
def test_an_interrupted_load_says_so_in_one_line(lake: Lake) -> None:
    lake.land(line(event()))
    command = [sys.executable, "-m", "pipelines.cli", "load"]
    with lake.connection.transaction():
        lake.connection.execute(query("load/lock_people"))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            wait_until(partial(check_waits, lake), "the load")
            process.terminate()
            said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (1, "wpp-lake: interrupted\n")


def check_waits(lake: Lake) -> None:
    """Raise unless a session waits for an advisory lock."""
    if lake.rows("select from pg_locks where locktype = 'advisory' and not granted") == []:
        raise LookupError("nobody waits")


@pytest.mark.usefixtures("lake_environment")
def test_the_environment_wins_over_the_data_directory(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("DATABASE_URL=postgresql://nowhere.invalid/x\n")
    done = wpp_lake("migrate", "--data-dir", tmp_path)
    assert (done.returncode, done.stdout) == (0, "the schema is current\n")


@pytest.mark.parametrize(
    "variable",
    ["WHATSAPP_WEBHOOK_SECRET", "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS", "WHATSAPP_WEBHOOK_RETIRED_SECRETS"],
)
def test_the_callers_secrets_count_beside_those_of_the_data_directory(
    lake: Lake, lake_environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """In both directions: each line is signed with one of them."""
    in_file = {"WHATSAPP_WEBHOOK_SECRET": "present", "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS": '["previous"]'}
    in_file["WHATSAPP_WEBHOOK_RETIRED_SECRETS"] = '["retired"]'
    variables = lake_environment | in_file
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()))
    body = event()
    for number, secret in enumerate(("present", "previous", "retired", "mine")):
        identifier = event_id(number)
        lake.land(encode_line(identifier, RECEIVED, "current", sign(body, identifier, secret=secret), body))
    for name in lake_environment:
        monkeypatch.delenv(name)
    assert wpp_lake("verify", "--data-dir", tmp_path).returncode == 1
    monkeypatch.setenv(variable, "mine" if variable == "WHATSAPP_WEBHOOK_SECRET" else '["mine"]')
    done = wpp_lake("verify", "--data-dir", tmp_path)
    assert (done.returncode, done.stdout) == (0, "4 lines verified, 0 failures\n")


def test_a_list_of_secrets_that_is_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "env").write_text("DATABASE_URL=postgresql://127.0.0.1:9/none\n")
    monkeypatch.setenv("WHATSAPP_WEBHOOK_PREVIOUS_SECRETS", "former")
    done = wpp_lake("verify", "--data-dir", tmp_path)
    assert (done.returncode, done.stderr) == (
        1, "wpp-lake: WHATSAPP_WEBHOOK_PREVIOUS_SECRETS: must be a JSON list of strings\n"
    )  # fmt: skip
