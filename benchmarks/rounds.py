"""Rounds: a way of working, timed in a process of its own.

Belongs here: both ends of such a process, and what a round took. Not: the ways, and which is measured when. The process
prints a line once everything is imported and connected, works when it reads one, and prints what it did as JSON.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

from benchmarks.running import InvalidRunError

Way = Callable[..., AbstractContextManager[Callable[[], Any]]]  # prepares, given its words, and yields the work


def work(ways: Mapping[str, Way]) -> None:
    """Be the process: prepare, say so, wait, work, and say what it took; times are of the machine's monotonic clock."""
    with ways[sys.argv[1]](*sys.argv[2:]) as working:
        print("ready", flush=True)
        sys.stdin.readline()
        cpu, began = _cpu_seconds(), time.monotonic()
        done = working()
        ended, cpu = time.monotonic(), _cpu_seconds() - cpu
    print(json.dumps({"done": done, "began": began, "ended": ended, "cpu_seconds": cpu, "peak_mb": _peak_mb()}))


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of those it started and waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_mb() -> float:
    """Return the most memory that this process had at once; getrusage would tell of what it was forked from, too."""
    [kilobytes] = [line.split()[1] for line in Path("/proc/self/status").read_text().split("\n") if "VmHWM" in line]
    return int(kilobytes) / 1000


def wait_until_ready(processes: Sequence[subprocess.Popen[str]]) -> None:
    """Return when each has prepared. Raises BrokenPipeError when one ended instead."""
    if not all(_pipe(process.stdout).readline() for process in processes):
        raise BrokenPipeError


def take(processes: Sequence[subprocess.Popen[str]]) -> list[list[dict[str, Any]]]:
    """Let ready processes work, all at once; return what each said, its result last.

    Raises BrokenPipeError when one ended without a word.
    """
    for process in processes:
        _pipe(process.stdin).write("\n")
        _pipe(process.stdin).flush()
    said = [[dict(json.loads(line)) for line in _pipe(process.stdout)] for process in processes]
    if not all(said):
        raise BrokenPipeError
    return said


@contextmanager
def child(folder: Path, env: Mapping[str, str], *words: str) -> Iterator[subprocess.Popen[str]]:
    """Run one of the benchmarks' modules in a folder of its own. Raises InvalidRunError unless it ends well."""
    log = folder / "processes.log"
    with tempfile.TemporaryDirectory(dir=folder) as own, log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=own,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
        with process:
            try:
                yield process
            except BrokenPipeError:
                pass  # it ended before its time
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise InvalidRunError(f"{' '.join(words[:2])} failed: {log.read_text()[-2000:]}")


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # noqa: S101  (asked for)
    return stream
