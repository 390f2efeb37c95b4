"""What a person reads: the help without types of a language, plain text where colours aren't wanted, words for nothing.

Belongs here: what is said where there is nothing to do or to show. Not: what verbs do (test_cli, test_sql).
"""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import typer
from command import wpp_lake
from factories import event_id

from pipelines.cli.main import with_stack_commands
from pipelines.orchestration.history import Pruned

if TYPE_CHECKING:
    from lake import Lake

COMMAND = [sys.executable, "-m", "pipelines.cli"]
HOUR = ("--hour", "2026-05-21-06:00")
NO_ROWS = "select 1 as n where false"


def commands(group: Any) -> Iterator[Any]:
    """Yield a group, its verbs, and those of the groups below."""
    yield group
    for each in group.commands.values():
        yield from commands(each) if hasattr(each, "commands") else [each]


def test_the_help_has_no_type_of_a_language() -> None:
    """An option's value is a word in capitals, or one of some words; a flag and an argument have none."""
    shown = set()
    for command in commands(typer.main.get_command(with_stack_commands())):
        context = typer.Context(command)
        for param in command.get_params(context):
            kind = param.display_type_rich(ctx=context)
            is_named = param.param_type_name == "argument" or param.is_flag
            assert bool(kind) != is_named, (command.name, param.name)
            shown.add(kind)
    choices = {"open|loaded|discarded|all", "table|csv|json"}
    words = "CODE DATE DAYS DIR FILE HOUR ID JID LID NAME PORT TICKET WEEKS WHY"
    assert shown == {"", *words.split()} | choices


def on_a_terminal(*words: str, **environment: str) -> str:
    """Run the command on a terminal, and return what it shows there."""
    ours, its = pty.openpty()
    env = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}}
    shown = b""
    with subprocess.Popen([*COMMAND, *words], stdin=its, stdout=its, stderr=its, env=env | environment):
        os.close(its)
        with suppress(OSError):  # as Linux ends a terminal that nobody writes to any more
            while more := os.read(ours, 65536):
                shown += more
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize(
    "words", [("load", "--help"), ("--help",), ("load", "--no-such-option"), ("status",)], ids=" ".join
)
@pytest.mark.usefixtures("lake_environment")
def test_without_colours_nothing_is_anything_but_text(words: tuple[str, ...]) -> None:
    """Nothing is bold either; and a pipe is no terminal."""
    assert "\x1b[" in on_a_terminal(*words, TERM="xterm")
    assert "\x1b" not in on_a_terminal(*words, TERM="xterm", NO_COLOR="1")
    piped = wpp_lake(*words)
    assert "\x1b" not in piped.stdout + piped.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("quarantine", "ls"), "no open entries\n"),
        (("quarantine", "ls", "--state", "all", "--reason", "odd"), "no entries with the reason odd\n"),
        (("quarantine", "retry"), "no open entries\n"),
        (("verify",), "0 lines verified, 0 failures: nothing landed\n"),
        (("verify", *HOUR), "0 lines verified, 0 failures: nothing landed in that hour\n"),
        (("reconcile",), "nothing has landed, nothing compared: 0 differences\n"),
        (("rebuild",), "0 files, 0 lines: nothing to load\n"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.usefixtures("lake_environment")
def test_an_empty_lake_says_that_there_is_nothing(words: tuple[str, ...], said: str) -> None:
    assert wpp_lake(*words).stdout == said


@pytest.mark.usefixtures("lake_environment", "dagster_home")
def test_a_run_that_finds_nothing_says_so() -> None:
    assert wpp_lake("load").stdout == "0 files, 0 lines: nothing to load\n"
    assert wpp_lake("load", *HOUR).stdout == "0 files, 0 lines: nothing to load\n"
    assert wpp_lake("snapshot", "--date", "2026-05-21").stdout == "no file: no events were received then\n"
    assert str(Pruned()).startswith("nothing to delete: 0 runs with 0 bytes of logs deleted, ")


@pytest.mark.usefixtures("lake_environment")
def test_an_event_that_never_came_is_said() -> None:
    traced = wpp_lake("trace", event_id("never"))
    assert (traced.returncode, traced.stdout) == (1, "breaks     no landed line holds it\n")


@pytest.mark.usefixtures("lake_environment")
def test_an_empty_file_is_said(tmp_path: Path) -> None:
    """And no receiver is asked."""
    (tmp_path / "none.jsonl").write_text("\n")
    (tmp_path / "empty.jsonl").write_text("")
    signed, requests = wpp_lake("send", "--sign", tmp_path / "none.jsonl"), wpp_lake("send", tmp_path / "empty.jsonl")
    assert (signed.returncode, signed.stdout) == (0, f"nothing to send: {tmp_path}/none.jsonl has no bodies\n")
    assert (requests.returncode, requests.stdout) == (0, f"nothing to send: {tmp_path}/empty.jsonl has no requests\n")


def test_a_question_without_an_answer_is_told_beside_it(lake: "Lake") -> None:
    """On stderr: a reader of CSV or JSON lines gets nothing else than rows."""
    missing = wpp_lake("sql", "from whatsapp_events")
    assert missing.stderr.startswith("no snapshots yet, so no tables: `wpp-lake snapshot` writes them\n")
    assert (missing.returncode, missing.stdout) == (1, "")
    lake.client.put_object(Bucket=lake.settings.snapshot_bucket, Key="other", Body=b"")
    for form, header in {"csv": "n\n", "json": ""}.items():
        found = wpp_lake("sql", "--format", form, NO_ROWS)
        assert (found.returncode, found.stdout, found.stderr.splitlines()[-1]) == (0, header, "no rows")
    assert wpp_lake("sql", "create table t (n int)").stderr.splitlines()[-1] == "done"
    assert wpp_lake("sql", "").stderr.splitlines()[-1] == "no statement"
    piped = subprocess.run([*COMMAND, "sql"], input="\n", capture_output=True, text=True, check=True)
    assert piped.stderr.splitlines()[-1] == "no statement"
