"""Processes beyond Python's own: who they are across restarts, and how none outlives the stack for long.

Belongs here: the record of what was started, ending what a killed stack left behind, dying with the parent, commands
that end by themselves. Not: keeping processes alive (supervisor.py).
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypedDict

import psutil  # type: ignore[import-untyped]  # it ships no types

from devstack.errors import NotReadyError, StackError
from devstack.state import write_private
from devstack.waiting import wait_until

PATIENCE_SECONDS = 15
_CLOCK_STEP_SECONDS = 2  # the boot time, from which start times count, moves a little when the clock is set


class Process(TypedDict):
    """A started process, which leads a session. `started` (Unix time) tells it from a later one with the same id.

    `restarts`: how often it was started again since `up` was, as `wpp-lake status` shows.
    """

    name: str
    pid: int
    started: float
    restarts: int


def identify(name: str, pid: int, restarts: int = 0) -> Process:
    """Return the identity of a child that was just started."""
    started = 0.0  # for one that is gone already
    with suppress(psutil.Error):
        started = psutil.Process(pid).create_time()
    return {"name": name, "pid": pid, "started": started, "restarts": restarts}


def write_record(record: Path, processes: Iterable[Process]) -> None:
    """Replace the record of what runs, `{"processes": [...]}`, which `wpp-lake status` reads too."""
    write_private(record, json.dumps({"processes": list(processes)}, indent=2) + "\n")


def end_leftovers(record: Path) -> None:
    """End what a killed stack left: with SIGINT, which each of them takes, or SIGKILL if that takes too long."""
    left = _left(record)
    for number in (signal.SIGINT, signal.SIGKILL):
        for process in left:
            with suppress(psutil.Error):
                process.send_signal(number)
        with suppress(NotReadyError):
            wait_until(lambda: _check_gone(left), "the end of what was left", PATIENCE_SECONDS)
            return


def dies_with_parent(stop_signal: signal.Signals) -> tuple[str, ...]:
    """Return what goes right before a command so that it gets `stop_signal` when its parent is killed.

    The command keeps its process id. Nothing where setpriv isn't installed: the next start ends what was left.
    """
    return ("setpriv", "--pdeathsig", stop_signal.name.removeprefix("SIG")) if shutil.which("setpriv") else ()


def output_of(command: Sequence[str], **how: Any) -> str:
    """Run a command as `subprocess.run` would, and return what it prints. Raises StackError if it fails."""
    done = subprocess.run(  # noqa: S603  the stack's own commands
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        start_new_session=True,  # a terminal's Ctrl-C is for the stack, which ends its commands itself
        **how,
    )
    said = str(done.stdout).strip()
    if done.returncode != 0:
        raise StackError(f"{' '.join(command)} failed: {said}")
    return said


def _left(record: Path) -> list[psutil.Process]:
    """Return what runs of the recorded processes' sessions. One whose leader is another by now has nothing left."""
    recorded: list[Process] = []
    with suppress(FileNotFoundError, ValueError):  # the first start, or a file that nobody wrote so
        recorded = json.loads(record.read_text())["processes"]
    sessions = {entry["pid"] for entry in recorded if not _is_another(entry)}
    return [process for process in psutil.process_iter() if _session(process.pid) in sessions]


def _is_another(entry: Process) -> bool:
    """Tell whether the id was given to a process that started at another time."""
    with suppress(psutil.NoSuchProcess):
        return bool(abs(psutil.Process(entry["pid"]).create_time() - entry["started"]) > _CLOCK_STEP_SECONDS)
    return False


def _session(pid: int) -> int | None:
    with suppress(OSError):
        return os.getsid(pid)
    return None


def _check_gone(left: Iterable[psutil.Process]) -> None:
    """Raise while one of them runs. A zombie is gone: in a container nobody may ever fetch its exit code."""
    for process in left:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                raise NotReadyError(f"process {process.pid} runs")
