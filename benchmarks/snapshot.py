"""The cost of a snapshot: its writer against its ceiling and a peer, in alternating rounds of one run.

Belongs here: which rounds are run, in which order, and the figures made of them. Not: a round (lakes), the ways of
writing (writes), the rows that are written (days).
"""

import argparse
import importlib
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # as in receiver.py: before this folder

import psycopg

from benchmarks import figures
from benchmarks.days import Day
from benchmarks.lakes import KEY, Lakes, Round, lay_out, start
from benchmarks.landings import Landing
from benchmarks.running import InvalidRunError, say
from benchmarks.writes import PEER_KEY
from devstack.errors import StackError
from devstack.seaweed import server_version
from pipelines.db.migrations import MigrationError

SWEEPS_SECONDS = 10 * 60  # after which no further sweep begins


@dataclass(frozen=True)
class Plan:
    """How much is measured: days of so many copies of the seeds, each in so many sweeps, the small one in all."""

    seeds: Landing
    copies: Mapping[str, int]
    sweeps: Mapping[str, int]

    @property
    def days(self) -> list[Day]:
        """The days, the small one first."""
        return [Day(name, self.seeds.events, copies) for name, copies in self.copies.items()]


SMALL, MIDDLE, LARGE = "small", "middle", "large"
FULL = Plan(Landing(19, 20, 25, 200), {SMALL: 1, MIDDLE: 10, LARGE: 30}, {SMALL: 5, MIDDLE: 3, LARGE: 2})
QUICK = Plan(Landing(19, 4, 5, 200), {SMALL: 1, MIDDLE: 2, LARGE: 3}, {SMALL: 1, MIDDLE: 1, LARGE: 1})


Sweep = Mapping[str, Round]  # by way and day: lake_small


def lake(lakes: Lakes, day: Day) -> Round:
    """Measure the snapshot."""
    return lakes.measure("lake", day, size=lambda: lakes.size(KEY))


def duckdb_postgres(lakes: Lakes, day: Day) -> Round:
    """Measure the peer."""
    return lakes.measure("duckdb_postgres", day, size=lambda: lakes.size(PEER_KEY))


def pyarrow_writer(lakes: Lakes, day: Day) -> Round:
    """Measure the ceiling, which writes a local file from what is in memory."""
    laid_out, file = lakes.folder / "row_groups", lakes.folder / "written"
    if not laid_out.exists():
        lay_out(lakes.fetched(KEY), laid_out)
    return lakes.measure("pyarrow_writer", day, str(laid_out), str(file), size=lambda: file.stat().st_size)


PAIR = (lake, duckdb_postgres)
CEILING = (pyarrow_writer,)


def sweep(lakes: Lakes, days: Sequence[Day], number: int) -> Sweep:
    """Measure every way once, every other sweep in the reverse order; the ceiling with the middle day alone."""
    found: dict[str, Round] = {}
    for day in days:
        pair = tuple(reversed(PAIR)) if number % 2 else PAIR
        for way in pair + (CEILING if day.name == MIDDLE else ()):
            found[f"{way.__name__}_{day.name}"] = way(lakes, day)
        if day.name == SMALL:
            lakes.check_same(KEY, PEER_KEY)
    return found


@dataclass(frozen=True)
class Ratio:
    """A figure of one sweep, of those that have its days, and what it should reach, if anything."""

    name: str
    day: str  # the largest that it needs
    of: Callable[[Sweep], float]
    target: float
    at_least: bool = True


def _rates(way: str, other: str) -> Callable[[Sweep], float]:
    return lambda sweep: sweep[way].rate / sweep[other].rate


def vs_duckdb(sweeps: Sequence[Sweep], day: Day) -> list[float]:
    """Return the ratio of the rates with a day, of each sweep that has it."""
    ways = [f"{way.__name__}_{day.name}" for way in PAIR]
    return [_rates(*ways)(sweep) for sweep in sweeps if ways[0] in sweep]


RATIOS = (
    Ratio("vs_duckdb", MIDDLE, _rates("lake_middle", "duckdb_postgres_middle"), 1.5),
    Ratio("vs_pyarrow_writer", MIDDLE, _rates("lake_middle", "pyarrow_writer_middle"), 0),  # told, not asked for
    Ratio("rate_3m_vs_100k", LARGE, _rates("lake_large", "lake_small"), 0.9),
    Ratio(
        "size_vs_duckdb",
        MIDDLE,
        lambda sweep: sweep["lake_middle"].size / sweep["duckdb_postgres_middle"].size,
        1.02,
        at_least=False,
    ),
    Ratio("peak_mb", LARGE, lambda sweep: sweep["lake_large"].peak_mb, 600, at_least=False),
)


def run(plan: Plan, parent: Path) -> tuple[dict[str, object], list[str]]:
    """Measure everything; return the report and the lines of the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wpp-lake-bench-", dir=parent) as name, start(Path(name)) as lakes:
        say("making the days")
        lakes.prepare(plan.seeds, plan.days)
        sweeps: list[Sweep] = []
        for number in range(max(plan.sweeps.values())):
            if number and time.monotonic() > began + SWEEPS_SECONDS:
                break
            say(f"sweep {number + 1}")
            sweeps.append(sweep(lakes, [day for day in plan.days if number < plan.sweeps[day.name]], number))
    values = {ratio.name: [ratio.of(each) for each in sweeps if f"lake_{ratio.day}" in each] for ratio in RATIOS}
    found: dict[str, list[Round]] = defaultdict(list)
    for each_sweep in sweeps:
        for way, measured in each_sweep.items():
            found[way].append(measured)
    cells = {way: cell(measured) for way, measured in found.items()}
    report: dict[str, object] = {
        "ratios": {name: round(statistics.median(each), 4) for name, each in values.items()},
        "spread": {name: figures.around(each) for name, each in values.items()},
        "vs_duckdb_by_day": {day.name: figures.around(vs_duckdb(sweeps, day)) for day in plan.days},
        "cells": cells,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
        "seconds": round(time.monotonic() - began),
    }
    return report, [*table(cells), "", figures.RATIO_HEAD, *ratio_lines(values)]


def cell(measured: Sequence[Round]) -> dict[str, float]:
    """Return the medians of a way's rounds with a day: shares of CPU are of one core."""
    medians = {
        "rows_per_s": statistics.median(each.rate for each in measured),
        "seconds": statistics.median(each.seconds for each in measured),
        "peak_mb": statistics.median(each.peak_mb for each in measured),
        "bytes_per_row": statistics.median(each.size / each.rows for each in measured),
    }
    medians |= {f"{name}_cpu": statistics.median(each.cpu[name] for each in measured) for name in measured[0].cpu}
    return {name: round(value, 3) for name, value in medians.items()} | {
        "rows": measured[0].rows,
        "rounds": len(measured),
    }


def table(cells: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    """Word the cells as lines."""
    numbers = f"{'rows':>9}{'rows/s':>9}{'seconds':>9}{'bytes/row':>11}{'peak MB':>9}{'own CPU':>9}{'postgres':>10}"
    yield f"{'way and day':<24}{numbers}{'store':>7}{'rounds':>8}"
    for way, each in cells.items():
        yield (
            f"{way:<24}{each['rows']:>9}{each['rows_per_s']:>9.0f}{each['seconds']:>9.2f}{each['bytes_per_row']:>11.1f}"
            f"{each['peak_mb']:>9.0f}{each['own_cpu']:>9.2f}{each['postgres_cpu']:>10.2f}{each['store_cpu']:>7.2f}"
            f"{each['rounds']:>8}"
        )


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
        importlib.import_module("duckdb_extension_postgres")
    except (StackError, ImportError) as error:
        say(f"benchmarks/snapshot.py: needs more (pip install 'wpp-lake[devstack,bench]'): {error}")
        return 2
    try:
        report, lines = run(QUICK if arguments.quick else FULL, arguments.folder)
    except (InvalidRunError, StackError, MigrationError, psycopg.Error) as error:
        say(f"benchmarks/snapshot.py: not a valid run: {error}")
        return 1
    print("\n".join(lines), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
