"""What `wpp-lake status` shows: a verdict, one screen, in colours on a terminal, again and again where asked."""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from fcntl import ioctl
from pathlib import Path

import pytest
from command import wpp_lake
from factories import RECEIVED, event, line
from lake import Lake

from pipelines.cli.screen import WIDTH, lasted, verdict
from pipelines.cli.status import Listing, Status, collect, faults
from pipelines.landing.hours import today
from pipelines.loading.load import rebuild
from pipelines.snapshots.write import write_snapshots

HOUR = timedelta(hours=1)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*3[0-7]m")


@pytest.fixture
def ended() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def plain(lake: Lake) -> Status:
    """Gather what the screen shows."""
    return collect(lake.settings, listing=Listing.RECENT)


def reworded(text: str) -> str:
    """Return a text with every length of time as "a moment": how long a test takes is nobody's concern."""
    return re.sub(r"\d+ (?:s|min)\b", "a moment", text)


def land_now(lake: Lake, number: int) -> datetime:
    """Land one event now; return its hour."""
    now = datetime.now(UTC)
    lake.land(line(event(), number, now), at=now)
    return now


def test_the_verdict_follows_an_event_on_its_way(lake: Lake) -> None:
    told = [verdict(plain(lake))]
    hour = land_now(lake, 1)
    told.append(verdict(plain(lake)))
    lake.load(hour)
    told.append(verdict(plain(lake)))
    list(write_snapshots(lake.settings, lake.snapshots, today()))
    told.append(verdict(plain(lake)))
    hour = land_now(lake, 2)
    told.append(verdict(plain(lake)))
    assert [reworded(each) for each in told] == [
        "OK: no event has come yet",
        "OK: newest event a moment ago, not yet in tables, not yet in Parquet",
        "OK: newest event a moment ago, in tables after a moment, not yet in Parquet",
        "OK: newest event a moment ago, in tables after a moment, in Parquet as of a moment ago",
        "OK: newest event a moment ago, not yet in tables, in Parquet as of a moment ago",
    ]


def test_after_a_rebuild_the_verdict_says_nothing_of_how_late_loads_are(lake: Lake) -> None:
    land_now(lake, 1)
    rebuild(lake.connection, lake.zone, "rebuild")
    assert reworded(verdict(plain(lake))) == "OK: newest event a moment ago, in tables, not yet in Parquet"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-3, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (86400 * 71, "71 d")],
)
def test_a_length_of_time_is_told_in_its_largest_unit(seconds: float, expected: str) -> None:
    assert lasted(seconds) == expected


def test_the_verdict_names_the_first_fault_and_counts_the_others(lake: Lake, tmp_path: Path, ended: int) -> None:
    recorded = [{"name": name, "pid": ended} for name in ("receiver", "s3")]
    (tmp_path / "processes.json").write_text(json.dumps({"processes": recorded}))
    lake.connection.execute("insert into landing_alarms (key, kind) values ('a', 'missing'), ('b', 'changed')")
    status = collect(lake.settings.model_copy(update={"wpp_lake_data_dir": tmp_path}), listing=Listing.NOTHING)
    assert verdict(status) == "NOT OK: receiver isn't healthy; and 3 more"
    assert faults(status)[2:] == [
        "landing file a is missing since it was loaded",
        "landing file b was changed after it was loaded",
    ]
    status["processes"].clear()
    status["changed_files"].clear()
    assert verdict(status) == "NOT OK: landing file a is missing since it was loaded"
    status["missing_files"] = ["long" * 50, "a"]
    assert verdict(status) == f"NOT OK: landing file {'long' * 16}lo…; and 1 more"


def test_the_screen_shows_what_there_is(lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "s3").mkdir()
    started = (datetime.now(UTC) - 50 * HOUR).timestamp()
    recorded = [{"name": "postgres", "pid": os.getpid(), "started": started, "restarts": 2}]
    (tmp_path / "processes.json").write_text(json.dumps({"processes": recorded}))
    monkeypatch.setenv("WPP_LAKE_DATA_DIR", str(tmp_path))
    lake.land(line(event(), 1), b"not json\n", b"nor this\n")
    lake.load()
    lake.connection.execute("update quarantined_events set state = 'discarded' where line_number = 3")
    list(write_snapshots(lake.settings, lake.snapshots, RECEIVED.date()))
    land_now(lake, 2)
    done = wpp_lake("status")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [re.sub(r"  +", "  ", reworded(text)) for text in done.stdout.splitlines()]
    assert lines[1:-2] == [
        "",
        "processes",
        f"postgres  healthy  pid {os.getpid()}  up 2 d  2 restarts",
        "",
        "landing zone",
        "loaded  1 line; 2 in quarantine",
        "waiting  1 file, the oldest for a moment",
        "listed whole  never",
        "missing, changed since  0, 0",
        "",
        "tables and snapshots",
        "whatsapp_events  1 row  2026-05-21: 1 row, written a moment ago",
        "whatsapp_groups  1 row  no snapshot yet",
        "whatsapp_participants  1 row  no snapshot yet",
        "whatsapp_participant_jids  2 rows  no snapshot yet",
        "payload_fields  no snapshot yet",
        "",
        "quarantine",
        "open  bad_line 1",
        "discarded  bad_line 1",
        "",
    ]
    assert lines[-2] == "disks"
    assert re.fullmatch(r"s3  [\d.,]+ of [\d.,]+ GB free(, .*)? on /\S*", lines[-1])


@contextmanager
def on_a_terminal(
    *words: str, columns: int = 120, **environment: str
) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """Run the command on a terminal of so many columns: the process, and the terminal's other end."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 60, columns, 0, 0))
    command = [sys.executable, "-m", "pipelines.cli", "status", *words]
    env = {**os.environ, "TERM": "xterm", **environment}
    for name in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"} - environment.keys():
        env.pop(name, None)
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=subprocess.DEVNULL, env=env) as process:
        os.close(its)
        yield process, ours
    os.close(ours)


def read_until(terminal: int, text: str, times: int) -> str:
    """Return what a terminal shows until a text was there so often, or until its end."""
    found = b""
    with suppress(OSError):  # as Linux ends a terminal that nobody writes to any more
        while found.count(text.encode()) < times and (more := os.read(terminal, 65536)):
            found += more
    return found.decode()


@pytest.mark.usefixtures("lake_environment")
def test_a_terminal_gets_colours_unless_told_otherwise() -> None:
    with on_a_terminal() as (_, terminal):
        coloured = read_until(terminal, "no end", 1)
    with on_a_terminal(NO_COLOR="1") as (_, terminal):
        plain_text = read_until(terminal, "no end", 1)
    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain_text)
    assert "\x1b" not in wpp_lake("status").stdout
    for text in (coloured, plain_text):
        assert ESCAPES.sub("", text).startswith("OK: no event has come yet")


@pytest.mark.parametrize("columns", [60, 200])
def test_it_fits_the_terminal_and_100_columns(lake: Lake, columns: int) -> None:
    """Whatever it quotes."""
    lake.connection.execute("insert into landing_alarms (key, kind) values (repeat('long', 50), 'missing')")
    with on_a_terminal(columns=columns) as (_, terminal):
        lines = ESCAPES.sub("", read_until(terminal, "no end", 1)).splitlines()
    assert lines[0].startswith("NOT OK: landing file")
    assert max(map(len, lines)) <= min(columns, WIDTH)
    assert max(len(text) for text in wpp_lake("status").stdout.splitlines()) == WIDTH


@pytest.mark.usefixtures("lake_environment")
def test_it_is_shown_anew_until_ctrl_c() -> None:
    with on_a_terminal("--watch") as (process, terminal):
        text = read_until(terminal, "no event has come yet", 2)
        process.send_signal(signal.SIGINT)
        text += read_until(terminal, "no end", 1)
    assert ESCAPES.sub("", text).count("OK: no event has come yet") >= 2
    assert process.returncode == 0


def test_what_is_watched_names_faults_and_notes_itself(lake: Lake) -> None:
    lake.connection.execute("insert into landing_alarms (key, kind) values ('a', 'missing'), ('b', 'missing')")
    with on_a_terminal("--watch", LOAD_VERIFY="false") as (process, terminal):
        text = ESCAPES.sub("", read_until(terminal, "tables and snapshots", 1))
        process.send_signal(signal.SIGINT)
        read_until(terminal, "no end", 1)
    lines = [each.rstrip() for each in text.splitlines()]
    assert lines[:4] == [
        "NOT OK: landing file a is missing since it was loaded; and 1 more",
        "- landing file a is missing since it was loaded",
        "- landing file b is missing since it was loaded",
        "- LOAD_VERIFY=false: whatever is landed is loaded, signed or not",
    ]


@pytest.mark.parametrize("other", ["--json", "--check"])
def test_what_is_watched_is_neither_json_nor_a_check(other: str) -> None:
    done = wpp_lake("status", "--watch", other)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--watch" in done.stderr


def test_only_json_lists_the_whole_landing_zone(lake: Lake) -> None:
    """The screen shows what ticks see, a check nothing of it."""
    lake.land(line(event(), 1))
    assert re.findall(r"^waiting +(.*)$", wpp_lake("status").stdout, re.MULTILINE) == ["0 files"]
    assert re.findall(r"^waiting +(.*)$", wpp_lake("status", "--check").stdout, re.MULTILINE) == ["not listed"]
    found = json.loads(wpp_lake("status", "--json").stdout)
    assert (found["counts"]["landed_files"], found["lateness"]["files"]) == (1, 1)


def test_the_status_takes_nothing_of_dagster() -> None:
    """Whose import takes seconds."""
    code = "import sys, pipelines.cli.status, pipelines.cli.screen; print({'dagster'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
