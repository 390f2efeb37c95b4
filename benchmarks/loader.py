"""The cost of loading: the loader against ceilings and alternatives, in alternating rounds of one run.

Belongs here: which rounds are run, in which order, and what makes them valid. Not: the ways of loading (loads), the
files that are loaded (landings), the processes (running).
"""

import argparse
import importlib
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
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # as in receiver.py: before this folder

import psycopg
from psycopg import sql

from benchmarks import figures, rounds
from benchmarks.landings import Landing
from benchmarks.loads import dump
from benchmarks.running import ROOT, InvalidRunError, Process, database_server, say, settings_env, store
from devstack.errors import StackError
from devstack.postgres import Postgres
from devstack.seaweed import server_version
from pipelines.db.migrations import MigrationError, migrate

BUCKET = "landing"
SWEEPS_SECONDS = 7 * 60  # after which no further sweep begins
LAKE, CEILING, EMPTY = "lake", "ceiling", "template1"  # what a round's database begins as
ROUND = "round"
LOADERS = ("one_conn", "two_conn", "one_event_files")


@dataclass(frozen=True)
class Plan:
    """The amounts measured. `files` are loaded in every sweep, `single` hold one event each."""

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
                numbers = (each.day, each.hours_count, each.files_per_hour, each.events_per_file)
                stack.enter_context(self._process("benchmarks.landings", *map(str, numbers)))

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
        """Work in one process per share, all at once. Raises InvalidRunError unless all of it was done."""
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as conn:
            conn.execute("checkpoint")  # so that no round writes what the last one left
        with ExitStack() as stack:
            running = [
                stack.enter_context(self._process("benchmarks.loads", way, *share, database=database))
                for share in shares
            ]
            rounds.wait_until_ready(running)
            before = self._server_seconds()
            answers = rounds.take(running)
            after = self._server_seconds()
        results = [answer[-1] for answer in answers]
        if sum(result["done"] for result in results) != (files or events):
            raise InvalidRunError(f"{way} dealt with {results}, not with {files or events}")
        seconds = max(result["ended"] for result in results) - min(result["began"] for result in results)
        cpu = {"client": sum(result["cpu_seconds"] for result in results)}
        cpu |= {name: after[name] - before[name] for name in before}
        say(f"  {way}: {events} events in {seconds:.2f} s")
        shares_of_cpu = {name: took / seconds for name, took in cpu.items()}
        return Round(events, seconds, max(result["peak_mb"] for result in results), shares_of_cpu, answers[0][:-1])

    def _server_seconds(self) -> dict[str, float]:
        return {name: process.family_cpu_seconds() for name, process in self.servers.items()}

    def _process(self, *words: str, database: str = "") -> AbstractContextManager[subprocess.Popen[str]]:
        return rounds.child(self.folder, {**self.env, "DATABASE_URL": database}, *words)


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


@dataclass(frozen=True)
class Ratio:
    """A figure of one sweep, or of the growth, and what it should reach."""

    name: str
    of: Callable[[Sweep], float]
    target: float
    at_least: bool = True
    swept: bool = True


def _rates(way: str, other: str) -> Callable[[Sweep], float]:
    return lambda sweep: sweep[way].rate / sweep[other].rate


RATIOS = (
    Ratio("one_conn_vs_copy", _rates("one_conn", "copy"), 0.42),
    Ratio("two_conn_vs_copy", _rates("two_conn", "copy"), 0.75),
    Ratio("vs_dlt", _rates("one_conn", "dlt"), 2.5),
    Ratio("vs_three_statements", _rates("one_conn", "three_statements"), 12),
    Ratio("one_event_files_vs_fetch", _rates("one_event_files", "fetch"), 0.8),
    Ratio("third_million_vs_first", _rates("third_million", "first_million"), 0.9, swept=False),
    Ratio("noop_vs_load", lambda sweep: sweep["noop"].seconds / sweep["one_conn"].seconds, 0.01, at_least=False),
    Ratio("peak_mb", lambda sweep: max(sweep[way].peak_mb for way in LOADERS), 500, at_least=False),
)
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
        env |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DO_NOT_TRACK": "1", "DATA_WRITER__DISABLE_COMPRESSION": "true"}
        bench = Bench(postgres, {"postgres": postmaster, "store": weed}, env, folder, plan)
        say("landing the files")
        bench.land([plan.files, plan.single])
        postgres.create_databases([LAKE, CEILING])
        migrate(postgres.url(LAKE))
        with psycopg.connect(postgres.url(CEILING)) as conn:
            conn.execute(Path(__file__).with_name("tables.sql").read_bytes())
        yield bench


def run(plan: Plan, parent: Path) -> tuple[dict[str, object], list[str]]:
    """Measure everything; return the report and the lines of the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wpp-lake-bench-", dir=parent) as name, start(Path(name), plan) as bench:
        prepare_copy(bench)
        sweeps: list[Sweep] = []
        while len(sweeps) < plan.least_sweeps or (
            len(sweeps) < plan.sweeps and time.monotonic() < began + SWEEPS_SECONDS
        ):
            say(f"sweep {len(sweeps) + 1}")
            sweeps.append(bench.sweep(len(sweeps)))
        say("growth")
        bench.land(plan.growth)
        grown = growth(bench)
    values = {ratio.name: [ratio.of(sweep) for sweep in (sweeps if ratio.swept else [grown])] for ratio in RATIOS}
    found: dict[str, list[Round]] = defaultdict(list)
    for sweep in [*sweeps, grown]:
        for way, measured in sweep.items():
            found[way].append(measured)
    cells = {way: cell(rounds) for way, rounds in found.items()}
    spent = stage_costs(found["stages"])
    report: dict[str, object] = {
        "ratios": {name: round(statistics.median(each), 4) for name, each in values.items()},
        "spread": {name: figures.around(each) for name, each in values.items()},
        "cells": cells,
        "stages": spent,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
        "seconds": round(time.monotonic() - began),
    }
    return report, [*table(cells), "", *stage_table(spent), "", figures.RATIO_HEAD, *ratio_lines(values)]


def prepare_copy(bench: Bench) -> None:
    """Load the files once, unmeasured, and write the ready rows where the ceiling finds them."""
    files = bench.plan.files
    with bench.database(LAKE) as database:
        bench.measure("loader", database, words(files), events=files.events)
        with psycopg.connect(database) as conn:
            dump(conn, bench.folder)


def cell(rounds: Sequence[Round]) -> dict[str, float]:
    """Return the medians of a way's rounds: shares of CPU are of one core."""
    medians = {
        "events_per_s": statistics.median(each.rate for each in rounds),
        "seconds": statistics.median(each.seconds for each in rounds),
        "peak_mb": statistics.median(each.peak_mb for each in rounds),
    }
    medians |= {f"{name}_cpu": statistics.median(each.cpu[name] for each in rounds) for name in rounds[0].cpu}
    return {name: round(value, 3) for name, value in medians.items()} | {"rounds": len(rounds)}


def stage_costs(rounds: Sequence[Round]) -> dict[str, float]:
    """Return the median of each stage, in microseconds an event."""
    names = sorted({name for each in rounds for name in each.said[0]})
    return {
        name: round(statistics.median(each.said[0].get(name, 0) / each.events * 1e6 for each in rounds), 2)
        for name in names
    }


def table(cells: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Word the cells as lines."""
    numbers = f"{'events/s':>10}{'seconds':>10}{'peak MB':>9}{'own CPU':>9}{'postgres':>10}{'store':>8}{'rounds':>8}"
    yield f"{'way':<18}{numbers}"
    for way, each in cells.items():
        yield (
            f"{way:<18}{each['events_per_s']:>10.0f}{each['seconds']:>10.3f}{each['peak_mb']:>9.0f}"
            f"{each['client_cpu']:>9.2f}{each['postgres_cpu']:>10.2f}{each['store_cpu']:>8.2f}{each['rounds']:>8}"
        )


def stage_table(costs: Mapping[str, float]) -> Iterator[str]:
    """Word the stages as lines, the longest first."""
    yield f"{'stage':<20}{'us an event':>12}"
    for name in sorted(costs, key=costs.__getitem__, reverse=True):
        yield f"{name:<20}{costs[name]:>12.2f}"


def ratio_lines(values: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """Word the ratios as lines, with what they should reach."""
    for ratio in RATIOS:
        yield figures.ratio_line(ratio.name, values[ratio.name], ratio.target, at_least=ratio.at_least)


def main() -> int:
    """Return 0 when everything was measured, 1 when the run can't be trusted, 2 when something it needs is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object; the table goes to standard error")
    parser.add_argument("--quick", action="store_true", help="little of everything: shows that it works, not how fast")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on the disk to measure")  # noqa: S108  (a folder of its own is made in it)
    arguments = parser.parse_args()
    try:
        server_version()
        importlib.import_module("dlt")
    except (StackError, ImportError) as error:
        say(f"benchmarks/loader.py: needs more (pip install 'wpp-lake[devstack,bench]'): {error}")
        return 2
    try:
        report, lines = run(QUICK if arguments.quick else FULL, arguments.folder)
    except (InvalidRunError, StackError, MigrationError, psycopg.Error) as error:
        say(f"benchmarks/loader.py: not a valid run: {error}")
        return 1
    print("\n".join(lines), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
