"""`wpp-lake sql`: one statement or several, as a table, CSV or JSON, typed or piped in."""

import json
import os
import pty
import subprocess
import sys

import pytest
from command import wpp_lake
from factories import event, line
from lake import Lake

from pipelines.snapshots.write import write_snapshots

COMMAND = [sys.executable, "-m", "pipelines.cli", "sql"]


@pytest.fixture(autouse=True)
def _written(lake: Lake) -> None:
    """Write the snapshots of two events."""
    lake.land(line(event(), 1), line(event(kind="chats.update"), 2))
    lake.load()
    list(write_snapshots(lake.settings, lake.snapshots, lake.rows("select min(received_on) from event_days")[0][0]))


def test_a_statement_is_answered_in_each_form() -> None:
    statement = "select type, count(*) as events from whatsapp_events group by type order by type"
    assert "│ chats.update    │      1 │" in wpp_lake("sql", statement).stdout
    assert wpp_lake("sql", statement, "--format", "csv").stdout == "type,events\nchats.update,1\nmessages.upsert,1\n"
    lines = wpp_lake("sql", statement, "--format", "json").stdout.splitlines()
    assert json.loads(lines[0]) == {"type": "chats.update", "events": 1}


def test_several_statements_are_answered_one_after_the_other() -> None:
    done = wpp_lake(
        "sql", "create view few as select 7 as n; select n from few; select n + 1 from few", "--format", "csv"
    )
    assert done.stdout == "n\n7\n(n + 1)\n8\n"


def test_a_wrong_statement_is_one_line_and_exit_1() -> None:
    done = wpp_lake("sql", "selec 1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "syntax error" in done.stderr


def test_statements_may_be_piped_in() -> None:
    done = subprocess.run(
        [*COMMAND, "--format", "csv"],
        input="select 1\nas a;\nselect 2 as b",
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "a\n1\nb\n2\n"


def test_at_a_terminal_there_is_a_prompt_that_survives_errors() -> None:
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--format", "csv"], stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        os.close(theirs)
        os.write(mine, b"selec 1;\nselect 5\n as five;\n\x04")
        said, errors = process.communicate(timeout=60)
        os.close(mine)
    assert process.returncode == 0
    assert "five" in said
    assert "\n5" in said
    assert "syntax error" in errors
    assert "Tables: show tables" in errors


def test_a_data_directory_serves_where_the_environment_names_no_bucket(
    lake_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("lake")
    (folder / "env").write_text("".join(f"{name}={value}\n" for name, value in lake_environment.items()))
    for name in lake_environment:
        monkeypatch.delenv(name)
    assert wpp_lake("sql", "select 1 as n", "--format", "csv", "--data-dir", folder).stdout == "n\n1\n"
