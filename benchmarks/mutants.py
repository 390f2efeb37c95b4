"""Mutation testing: a room's tests are run with one fault in it after the other, and have to notice each.

Belongs here: running tests on copies of the tree, and what of the result is known. Not: the faults themselves (faults).
docs/adr/0032-mutants.md has the reasons.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path

import pytest
from cosmic_ray.mutating import use_mutation

from benchmarks.faults import Fault, faults, operator

ROOT = Path(__file__).parent.parent
EXPLAINED = Path(__file__).with_name("survivors.toml")
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".wpp-lake*", ".*_cache", "__pycache__", "*.egg-info")
# Each room's tests, the quickest first, since the first that fails ends a run. Left out are those that kill servers,
# fill disks or race, and take longest: what they hold together no single line decides.
ROOMS = {
    "pipelines/parsing": "people_and_times rules extraction_cases lines extraction",
    "receiver": "contract landing dedupe intake logs settings writer http paths properties",
    "pipelines/loading": (
        "batches pending loading alarms unreadable_files authentic_loading quarantine rebuild refused_payloads "
        "refused_lines overtaking newest_state"
    ),
}
# What every run of tests imports, imported once: a run is a fork of this process. Nothing of the tree may be among it.
FIRST = ("aiohttp", "boto3", "msgspec", "obstore.store", "orjson", "psycopg", "pyarrow.parquet", "pydantic_settings")
WITHOUT = ("cacheprovider", "hypothesispytest", "xdist")  # plugins that take a second and do nothing here
SLOWEST, STARTING_SECONDS = 3, 20  # a run that takes so many times as long as without a fault, and this, never ends
TOLD_EVERY = 50
MOST_ASKED = 4
FORK = multiprocessing.get_context("fork")


NOTED = Path("../failed")  # beside a worker's copy of the tree
NOTICED: defaultdict[str, deque[str]] = defaultdict(lambda: deque(maxlen=MOST_ASKED))  # a worker's, by module


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


def _tests(room: str) -> list[str]:
    """Return a room's files of tests."""
    return [f"tests/{room}/test_{name}.py" for name in ROOMS[room].split()]


def _settle(folders: "multiprocessing.SimpleQueue[str]") -> None:
    """Take one of the copies of the tree for this worker, from which all of its tests import."""
    os.chdir(folders.get())
    os.environ["PYTHONPATH"] = str(Path.cwd())
    for name in FIRST:
        import_module(name)


class _FirstFailure:
    """Notes the test that failed, where the process that waits for the tests finds it."""

    @staticmethod
    def pytest_runtest_logreport(report: pytest.TestReport) -> None:
        """Note a failure."""
        if report.failed:
            NOTED.write_text(report.nodeid)


def _test(arguments: list[str]) -> None:
    os.setsid()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        os._exit(pytest.main(arguments, [_FirstFailure()]))


def _passes(tests: Sequence[str], seconds: float | None = None) -> bool:
    """Run tests in a process of their own; those that last longer are ended, and fail."""
    without = [f"-pno:{plugin}" for plugin in WITHOUT]
    run = FORK.Process(target=_test, args=(["-x", "-q", *without, "--basetemp=../pytest", *tests],))
    run.start()
    run.join(seconds)
    if run.pid and run.is_alive():
        os.killpg(run.pid, signal.SIGKILL)
    run.join()
    return run.exitcode == 0


def _survives(fault: Fault, room: str, seconds: float) -> bool:
    """Tell whether no test notices a fault; those that noticed earlier ones of the module are asked first."""
    # A module that changes within a second keeps its time stamp: its compiled form must not be kept.
    os.environ["PYTHONDONTWRITEBYTECODE"], sys.dont_write_bytecode = "1", True
    asked = NOTICED[fault.module]
    with use_mutation(Path(fault.module), operator(fault.operator), fault.occurrence):
        if asked and not _passes(list(asked), seconds):
            return False
        NOTED.unlink(missing_ok=True)
        survives = _passes(_tests(room), seconds)
    if not survives and NOTED.exists():
        asked.appendleft(NOTED.read_text())
    return survives


def survivors(pool: ProcessPoolExecutor, room: str, chosen: Sequence[Fault]) -> Iterator[Fault]:
    """Yield those faults that the tests of their room don't notice."""
    began = time.monotonic()
    if not pool.submit(_passes, _tests(room)).result():
        sys.exit(f"the tests of {room} fail without any fault")
    seconds = STARTING_SECONDS + SLOWEST * (time.monotonic() - began)
    runs = [(fault, pool.submit(_survives, fault, room, seconds)) for fault in chosen]
    for number, (fault, run) in enumerate(runs, 1):
        if run.result():
            yield fault
        if number % TOLD_EVERY == 0:
            say(f"{room}: {number} of {len(chosen)} after {time.monotonic() - began:.0f} s")


def _explained() -> set[tuple[str, ...]]:
    """Return what may survive: module, function, line, and what it becomes."""
    known = tomllib.loads(EXPLAINED.read_text())["survivor"]
    return {(each["module"], each["function"], each["line"], new) for each in known for new in each["becomes"]}


def _chosen(words: argparse.Namespace, room: str) -> list[Fault]:
    every = list(faults(ROOT, room))
    chosen = random.Random(words.seed).sample(every, min(words.sample or len(every), len(every)))  # noqa: S311  no secret
    say(f"{room}: {len(chosen) - words.skip} of {len(every)} mutants")
    return chosen[words.skip :]


def main() -> None:
    """Run the rooms' tests on mutants, and list those that no test noticed and nobody has explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    rooms = {Path(folder).name: folder for folder in ROOMS}
    parser.add_argument("--room", choices=rooms, action="append", help="default: all of them")
    parser.add_argument("--sample", type=int, help="so many mutants of each room; default: every one")
    parser.add_argument("--skip", type=int, default=0, help="leave out so many of them, which were tested before")
    parser.add_argument("--seed", type=int, default=1, help="chooses the sample")
    parser.add_argument("--workers", type=int, default=1, help="how many mutants are tested at once")
    words = parser.parse_args()
    explained, run, known, unknown = _explained(), 0, 0, 0
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        copies: multiprocessing.SimpleQueue[str] = multiprocessing.SimpleQueue()
        for number in range(words.workers):
            shutil.copytree(ROOT, copy := f"{folder}/{number}/tree", ignore=LEFT_OUT)
            copies.put(copy)
        with ProcessPoolExecutor(words.workers, initializer=_settle, initargs=(copies,)) as pool:
            for room in words.room or rooms:
                run += len(chosen := _chosen(words, rooms[room]))
                for fault in survivors(pool, rooms[room], chosen):
                    was, becomes = fault.change((ROOT / fault.module).read_text())
                    if (fault.module, fault.function, was, becomes) in explained:
                        known += 1
                    else:
                        unknown += 1
                        print(f"{fault.module}, {fault.function or 'at its top'}\n- {was}\n+ {becomes}\n", flush=True)
    print(f"mutants: {run - known - unknown} killed, {known + unknown} survived, of which {known} are explained")
    sys.exit(unknown > 0)


if __name__ == "__main__":
    main()
