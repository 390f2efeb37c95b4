"""From rounds to figures: cells, ratios, their spread, and the table.

Belongs here: arithmetic and wording, no process. Not: measuring.
"""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.wrk import Load

HEADROOM = 1.5  # a round counts only if the generator drives the bare handler this many times as fast as the receiver


@dataclass(frozen=True)
class Round:
    """One server under one load."""

    load: Load
    cpu_us: float  # CPU time of the server an acknowledged event
    events_per_file: float | None = None  # None where nothing is stored


@dataclass(frozen=True)
class Sweep:
    """One round of each server at one number of connections, right after each other."""

    connections: int
    rounds: Mapping[str, Round]
    idle_put_p50_ms: float

    @property
    def counts(self) -> bool:
        """Whether the load generator was shown not to be the bottleneck."""
        return self.rounds["bare"].load.rate >= HEADROOM * self.rounds["durable"].load.rate


@dataclass(frozen=True)
class Ratio:
    """A figure made of rounds of one sweep, and what it should reach."""

    name: str
    connections: int
    of: Callable[[Sweep], float]
    target: float
    at_least: bool = True


def _rates(other: str) -> Callable[[Sweep], float]:
    return lambda sweep: sweep.rounds["durable"].load.rate / sweep.rounds[other].load.rate


def _cpu_vs_bare(sweep: Sweep) -> float:
    return sweep.rounds["durable"].cpu_us / sweep.rounds["bare"].cpu_us


def _p99_vs_idle_put(sweep: Sweep) -> float:
    return sweep.rounds["durable"].load.p99_ms / sweep.idle_put_p50_ms


def _p99_vs_bare(sweep: Sweep) -> float:
    return sweep.rounds["durable"].load.p99_ms / sweep.rounds["bare"].load.p99_ms


RATIOS = (
    Ratio("durable_vs_bare_c256", 256, _rates("bare"), 0.55),
    Ratio("durable_vs_bare_c64", 64, _rates("bare"), 0.40),
    Ratio("cpu_vs_bare_c64", 64, _cpu_vs_bare, 2.2, at_least=False),
    Ratio("vs_object_per_event_c64", 64, _rates("object_per_event"), 12),
    Ratio("vs_fastapi_c64", 64, _rates("fastapi"), 1.3),
    Ratio("p99_vs_idle_put_c8", 8, _p99_vs_idle_put, 5, at_least=False),
    Ratio("p99_vs_bare_c256", 256, _p99_vs_bare, 1.5, at_least=False),
)


def counted(sweeps: Sequence[Sweep], connections: int) -> list[Sweep]:
    """Return the sweeps at so many connections that count."""
    return [sweep for sweep in sweeps if sweep.connections == connections and sweep.counts]


def ratios(sweeps: Sequence[Sweep]) -> dict[str, float]:
    """Return the median of each ratio over the sweeps that count."""
    return {ratio.name: round(statistics.median(_values(ratio, sweeps)), 3) for ratio in RATIOS}


def spread(sweeps: Sequence[Sweep]) -> dict[str, dict[str, Any]]:
    """Return each ratio's pairs: the least, the greatest, all that count, and those that don't."""
    return {ratio.name: _spread(ratio, sweeps) for ratio in RATIOS}


def _values(ratio: Ratio, sweeps: Sequence[Sweep]) -> list[float]:
    return [ratio.of(sweep) for sweep in counted(sweeps, ratio.connections)]


def _spread(ratio: Ratio, sweeps: Sequence[Sweep]) -> dict[str, Any]:
    here = [sweep for sweep in sweeps if sweep.connections == ratio.connections]
    out = [round(ratio.of(sweep), 3) for sweep in here if not sweep.counts]
    return around(_values(ratio, sweeps)) | {"not_counted": out}


def around(values: Sequence[float]) -> dict[str, Any]:
    """Return the least, the greatest and all of a ratio's values."""
    rounds = [round(value, 4) for value in values]
    return {"least": min(rounds), "greatest": max(rounds), "rounds": rounds}


def cells(sweeps: Sequence[Sweep]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the medians of each server at each number of connections, over all rounds."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for connections in sorted({sweep.connections for sweep in sweeps}):
        here = [sweep for sweep in sweeps if sweep.connections == connections]
        for server in here[0].rounds:
            found.setdefault(server, {})[str(connections)] = _cell([sweep.rounds[server] for sweep in here])
    return found


def _cell(rounds: Sequence[Round]) -> dict[str, Any]:
    def median(of: Callable[[Round], float]) -> float:
        return statistics.median(map(of, rounds))

    files = [found.events_per_file for found in rounds if found.events_per_file is not None]
    return {
        "events_per_s": round(median(lambda found: found.load.rate)),
        "p50_ms": round(median(lambda found: found.load.p50_ms), 2),
        "p99_ms": round(median(lambda found: found.load.p99_ms), 2),
        "cpu_us_per_event": round(median(lambda found: found.cpu_us)),
        "events_per_file": round(statistics.median(files), 1) if files else None,
        "generator_busy": round(median(lambda found: found.load.generator_busy), 2),
        "rounds": len(rounds),
    }


def table(sweeps: Sequence[Sweep]) -> Iterator[str]:
    """Word the cells and the ratios as lines."""
    yield f"{'server':<18}{'c':>5}{'events/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU us':>8}{'a file':>8}{'wrk busy':>10}"
    for server, by_connections in cells(sweeps).items():
        for connections, cell in by_connections.items():
            files = "-" if cell["events_per_file"] is None else f"{cell['events_per_file']:.1f}"
            yield (
                f"{server:<18}{connections:>5}{cell['events_per_s']:>10}{cell['p50_ms']:>9.2f}{cell['p99_ms']:>9.2f}"
                f"{cell['cpu_us_per_event']:>8}{files:>8}{cell['generator_busy']:>10.2f}"
            )
    yield ""
    yield RATIO_HEAD
    for ratio in RATIOS:
        line = ratio_line(ratio.name, _values(ratio, sweeps), ratio.target, at_least=ratio.at_least)
        not_counted = len(_spread(ratio, sweeps)["not_counted"])
        yield line + (f"  ({not_counted} not counted)" if not_counted else "")


RATIO_HEAD = f"{'ratio':<26}{'median':>9}{'least':>9}{'greatest':>10}{'target':>9}{'rounds':>8}"


def ratio_line(name: str, values: Sequence[float], target: float, *, at_least: bool) -> str:
    """Word a ratio's values beside what their median should reach."""
    value = statistics.median(values)
    verdict = "" if (value >= target if at_least else value <= target) else "  missed"
    wanted = f"{'>=' if at_least else '<='} {target:g}"
    return f"{name:<26}{value:>9.3f}{min(values):>9.3f}{max(values):>10.3f}{wanted:>9}{len(values):>8}{verdict}"
