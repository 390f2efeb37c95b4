"""Processes beyond Python's own: who they are across restarts, and how none outlives the stack for long.

Belongs here: the record of what was started, ending what a killed stack left behind, dying with the parent. Not:
keeping processes alive (supervisor.py). The only module that asks psutil.
"""

import functools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # it ships no types

from devstack.errors import NotReadyError
from devstack.waiting import wait_until

PATIENCE_SECONDS = 15
_CLOCK_STEP_SECONDS = 2  # the boot time, from which start times count, moves a little when the clock is set


@dataclass(frozen=True)
class Process:
    """A started process. `started` (Unix time) tells it from a later one with the same id."""

    name: str
    pid: int
    started: float


def identify(name: str, pid: int) -> Process:
    """Return the identity of a child that was just started, and not waited for yet."""
    with suppress(psutil.Error):
        return Process(name, pid, psutil.Process(pid).create_time())
    return Process(name, pid, 0.0)  # it is gone already


def write_record(record: Path, processes: Iterable[Process]) -> None:
    """Replace the record in one step: `{"processes": [{"name", "pid", "started"}]}`."""
    unfinished = record.with_suffix(".new")
    unfinished.write_text(json.dumps({"processes": [asdict(process) for process in processes]}, indent=2) + "\n")
    unfinished.replace(record)


def end_leftovers(record: Path) -> None:
    """End what a killed stack left: with SIGINT, which each of them takes, or SIGKILL if that takes too long."""
    left = [process for entry in _read_record(record) for process in _session(entry)]
    for number in (signal.SIGINT, signal.SIGKILL):
        for process in left:
            with suppress(psutil.Error):
                process.send_signal(number)
        with suppress(NotReadyError):
            wait_until(partial(_check_gone, left), "the end of what was left", PATIENCE_SECONDS)
            return


def dies_with_parent(stop_signal: signal.Signals) -> tuple[str, ...]:
    """Return what goes right before a command so that it gets `stop_signal` when its parent is killed.

    The command keeps its process id. Nothing where the system has no such thing.
    """
    prefix = ("setpriv", "--pdeathsig", stop_signal.name.removeprefix("SIG"))
    return prefix if _works(prefix) else ()


def command_line(pid: int) -> list[str]:
    """Return the words of a running process's command; none if it isn't running."""
    with suppress(psutil.Error):
        return list(psutil.Process(pid).cmdline())
    return []


def boot_id() -> str:
    """Return what stays the same until the machine restarts."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return str(int(psutil.boot_time()))


@functools.cache
def _works(prefix: tuple[str, ...]) -> bool:
    if not shutil.which(prefix[0]):
        return False
    return subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode == 0  # noqa: S603  fixed words


def _check_gone(left: Iterable[psutil.Process]) -> None:
    """Raise while one of them runs. A zombie is gone: in a container nobody may ever fetch its exit code."""
    for process in left:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                raise NotReadyError(f"process {process.pid} runs")


def _read_record(record: Path) -> list[Process]:
    try:
        return [Process(**entry) for entry in json.loads(record.read_text())["processes"]]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return []


def _session(entry: Process) -> list[psutil.Process]:
    """Return what runs of a recorded process, which led a session of its own: it, its children, the whole session."""
    family: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        leader = psutil.Process(entry.pid)
        if abs(leader.create_time() - entry.started) > _CLOCK_STEP_SECONDS:
            return []  # another process has the id by now, so nothing of this session is left
        family = [leader, *leader.children(recursive=True)]
    return family + [one for one in psutil.process_iter() if _session_id(one.pid) == entry.pid and one not in family]


def _session_id(pid: int) -> int | None:
    with suppress(OSError):
        return os.getsid(pid)
    return None
