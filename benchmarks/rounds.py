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
from collections.abc import Callable, Iterator, Mapping
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
    print(json.dumps({"done": done, "seconds": ended - began, "cpu_seconds": cpu, "peak_mb": _peak_mb()}))


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _peak_mb() -> float:
    """Return the most memory that this process had at once; getrusage would tell of what it was forked from, too."""
    [kilobytes] = [line.split()[1] for line in Path("/proc/self/status").read_text().split("\n") if "VmHWM" in line]
    return int(kilobytes) / 1000


def take(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Let a process work once it is ready; return what it said. Raises BrokenPipeError when it ended before."""
    _line(process)
    _pipe(process.stdin).write("\n")
    _pipe(process.stdin).flush()
    return dict(json.loads(_line(process)))


def _line(process: subprocess.Popen[str]) -> str:
    line = _pipe(process.stdout).readline()
    if not line:
        raise BrokenPipeError
    return line


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
