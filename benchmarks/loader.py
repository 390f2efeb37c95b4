"""What loading costs: the loader against ceilings and alternatives, in alternating rounds of one run.

Belongs here: which rounds are run, in which order, and what makes them valid. Not: the ways of loading (loads), the
files that are loaded (landings), the processes (running).
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

sys.path.insert(0, str(Path(__file__).parent.parent))  # as in receiver.py: before this folder

import psutil  # type: ignore[import-untyped]  # it ships no types
import psycopg
from psycopg import sql

from benchmarks.landings import Landing
from benchmarks.loads import dump
from benchmarks.running import ROOT, Process, database_server, settings_env, store
from devstack.errors import StackError
from devstack.postgres import Postgres
from pipelines.migrations import migrate

BUCKET = "landing"
LIMIT_SECONDS = 14 * 60  # after which no further sweep begins
LAKE, CEILING, EMPTY = "lake", "ceiling", "template1"  # the databases that a round's begins as
ROUND = "round"


class InvalidRunError(RuntimeError):
    """The run can't be trusted; the message says why."""


@dataclass(frozen=True)
class Plan:
    """How much is measured. `files` are loaded in every sweep, `single` hold one event each."""

    sweeps: int
    least_sweeps: int
    files: Landing
    single: Landing
    growth: tuple[Landing, ...]


FULL = Plan(5, 3, Landing(1, 10, 50, 200), Landing(2, 4, 1_000, 1), tuple(Landing(d, 20, 25, 2_000) for d in (3, 4, 5)))
QUICK = Plan(1, 1, Landing(1, 4, 10, 200), Landing(2, 2, 200, 1), tuple(Landing(d, 4, 5, 500) for d in (3, 4, 5)))


@dataclass(frozen=True)
class Round:
    """One way of loading, once. `cpu` has CPU time by wall time: of the way itself, of PostgreSQL and of the store."""

    events: int
    seconds: float
    peak_mb: float
    cpu: Mapping[str, float]
    said: Sequence[Mapping[str, float]]  # by the first process, before its result

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds


Sweep = Mapping[str, Round]


@dataclass(frozen=True)
class Bench:
    """Everything that runs."""

    postgres: Postgres
    servers: Mapping[str, Process]
    env: Mapping[str, str]
    folder: Path
    plan: Plan

    def land(self, landings: Sequence[Landing]) -> None:
        """Generate the files, each landing in a process of its own."""
        with ExitStack() as stack:
            for each in landings:
                words = (each.day, each.hours_count, each.files_per_hour, each.events_per_file)
                stack.enter_context(self._process("benchmarks.landings", *map(str, words)))

    @contextmanager
    def database(self, template: str) -> Iterator[str]:
        """Make a database from a template, and drop it in the end."""
        name = sql.Identifier(ROUND)
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as conn:
            conn.execute(sql.SQL("create database {} template {}").format(name, sql.Identifier(template)))
            yield self.postgres.url(ROUND)
            conn.execute(sql.SQL("drop database {} with (force)").format(name))

    def sweep(self, number: int) -> Sweep:
        """Measure every way once, every other sweep in the reverse order."""
        rounds: dict[str, Round] = {}
        for way in list(reversed(WAYS)) if number % 2 else WAYS:
            rounds |= way(self)
        return rounds

    def measure(self, way: str, database: str, *shares: Sequence[str], events: int, files: int = 0) -> Round:
        """Work in one process a share, all at once. Raises InvalidRunError unless all of it was done."""
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as conn:
            conn.execute("checkpoint")  # so that no round writes what the last one left
        with ExitStack() as stack:
            running = [
                stack.enter_context(self._process("benchmarks.loads", way, *share, database=database))
                for share in shares
            ]
            for process in running:
                _pipe(process.stdout).readline()
            before = self._server_seconds()
            for process in running:
                _pipe(process.stdin).write("\n")
                _pipe(process.stdin).flush()
            answers = [[json.loads(line) for line in _pipe(process.stdout)] for process in running]
            after = self._server_seconds()
        results = [answer[-1] for answer in answers if answer]
        if sum(result["done"] for result in results) != (files or events):
            raise InvalidRunError(f"{way} dealt with {results}, not with {files or events}")
        seconds = max(result["ended"] for result in results) - min(result["began"] for result in results)
        cpu = {"client": sum(result["cpu_seconds"] for result in results)}
        cpu |= {name: after[name] - before[name] for name in before}
        shares_of_cpu = {name: took / seconds for name, took in cpu.items()}
        return Round(events, seconds, max(result["peak_mb"] for result in results), shares_of_cpu, answers[0][:-1])

    def _server_seconds(self) -> dict[str, float]:
        return {name: _tree_seconds(process.pid) for name, process in self.servers.items()}

    @contextmanager
    def _process(self, *words: str, database: str = "") -> Iterator[subprocess.Popen[str]]:
        """Run one of the benchmark's modules in a folder of its own. Raises InvalidRunError unless it ends well."""
        log = self.folder / "processes.log"
        with tempfile.TemporaryDirectory(dir=self.folder) as folder, log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", *words],
                cwd=folder,
                env={**self.env, "DATABASE_URL": database},
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


def _tree_seconds(pid: int) -> float:
    """Return the CPU time of a process, of its children and of those that it had."""
    process = psutil.Process(pid)
    own = process.cpu_times()
    living = [child.cpu_times() for child in process.children()]
    return sum(times.user + times.system for times in (own, *living)) + own.children_user + own.children_system


def copy(bench: Bench) -> dict[str, Round]:
    """Measure the ceiling: the ready rows of the files by binary COPY."""
    with bench.database(CEILING) as database:
        return {"copy": bench.measure("copy", database, [str(bench.folder)], events=bench.plan.files.events)}


def one_conn(bench: Bench) -> dict[str, Round]:
    """Measure one loader, and then one that finds everything loaded."""
    files = bench.plan.files
    with bench.database(LAKE) as database:
        loaded = bench.measure("loader", database, words(files), events=files.events)
        again = bench.measure("loader", database, words(files), events=0)
        check_rows(database, files.events)
    return {"one_conn": loaded, "noop": again}


def two_conn(bench: Bench) -> dict[str, Round]:
    """Measure two loaders at once, each with half of the hours."""
    files, hours = bench.plan.files, words(bench.plan.files)
    half = len(hours) // 2
    with bench.database(LAKE) as database:
        found = bench.measure("loader", database, hours[:half], hours[half:], events=files.events)
        check_rows(database, files.events)
    return {"two_conn": found}


def stages(bench: Bench) -> dict[str, Round]:
    """Measure one loader by its stages, which slows it a little."""
    with bench.database(LAKE) as database:
        return {"stages": bench.measure("stages", database, words(bench.plan.files), events=bench.plan.files.events)}


def single(bench: Bench) -> dict[str, Round]:
    """Measure one loader with files of one event, and the bare GETs of the same files."""
    files = bench.plan.single
    with bench.database(LAKE) as database:
        fetched = bench.measure("fetch", database, words(files), events=files.events, files=files.files)
        loaded = bench.measure("loader", database, words(files), events=files.events)
        check_rows(database, files.events)
    return {"fetch": fetched, "one_event_files": loaded}


def dlt(bench: Bench) -> dict[str, Round]:
    """Measure dlt."""
    files = bench.plan.files
    with bench.database(EMPTY) as database:
        found = bench.measure("dlt", database, words(files), events=files.events)
        check_rows(database, files.events, "lake.events")
    return {"dlt": found}


def three_statements(bench: Bench) -> dict[str, Round]:
    """Measure the loop of statements, with the first hour's files: it takes its time."""
    files = bench.plan.files
    events = files.files_per_hour * files.events_per_file
    with bench.database(CEILING) as database:
        found = bench.measure("three_statements", database, words(files)[:1], events=events)
        check_rows(database, events)
    return {"three_statements": found}


WAYS = (stages, copy, one_conn, two_conn, single, dlt, three_statements)
MILLIONS = ("first_million", "second_million", "third_million")


def growth(bench: Bench) -> dict[str, Round]:
    """Load one landing after the other into the same tables."""
    plan = bench.plan
    with bench.database(LAKE) as database:
        found = {
            name: bench.measure("loader", database, words(each), events=each.events)
            for name, each in zip(MILLIONS, plan.growth, strict=True)
        }
        check_rows(database, sum(each.events for each in plan.growth))
    return found


def words(landing: Landing) -> list[str]:
    """Return a landing's hours as the processes take them."""
    return [hour.isoformat() for hour in landing.hours]


def check_rows(database: str, events: int, table: str = "whatsapp_events") -> None:
    """Raise InvalidRunError unless the table holds so many rows."""
    with psycopg.connect(database) as conn:
        [[rows]] = conn.execute(f"select count(*) from {table}".encode())  # noqa: S608  (our names)
    if rows != events:
        raise InvalidRunError(f"{table} holds {rows} rows, not {events}")


@contextmanager
def start(folder: Path, plan: Plan) -> Iterator[Bench]:
    """Start the servers, land the files, and make the databases that rounds begin with."""
    with ExitStack() as stack:
        seaweed, weed = stack.enter_context(store(folder, [BUCKET]))
        postgres, postmaster = stack.enter_context(database_server(folder))
        env = {**settings_env(seaweed, BUCKET), "PYTHONPATH": str(ROOT), "DAGSTER_DISABLE_TELEMETRY": "yes"}
        env |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1", "NORMALIZE__WORKERS": str(os.cpu_count())}
        bench = Bench(postgres, {"postgres": postmaster, "store": weed}, env, folder, plan)
        say("landing the files")
        bench.land([plan.files, plan.single])
        postgres.create_databases([LAKE, CEILING])
        migrate(postgres.url(LAKE))
        with psycopg.connect(postgres.url(CEILING)) as conn:
            conn.execute(Path(__file__).with_name("tables.sql").read_bytes())
        yield bench


def say(text: str) -> None:
    """Tell the person who waits."""
    print(text, file=sys.stderr, flush=True)


def run(plan: Plan, folder: Path):
    with start(folder, plan) as bench:
        with bench.database(LAKE) as database:
            bench.measure("loader", database, words(plan.files), events=plan.files.events)
            with psycopg.connect(database) as conn:
                dump(conn, folder)
        for n in range(plan.sweeps):
            found = bench.sweep(n)
            for name, r in found.items():
                say(f"{name:20} {r.rate:10.0f} {r.seconds:8.3f} { {k: round(v,2) for k,v in r.cpu.items()} } {r.peak_mb:.0f}")
            st=found["stages"]
            for k,v in sorted(st.said[0].items(), key=lambda x:-x[1]): say(f"   {k:20} {v/st.events*1e6:8.2f} us")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="wpp-lake-bench-", dir="/var/tmp") as name:
        run(FULL if "--full" in sys.argv else QUICK, Path(name))
