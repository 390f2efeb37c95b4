"""The cost of durability: the receiver against the bare handler and its alternatives, in alternating rounds of one run.

Belongs here: which rounds are run, in which order, and what makes them valid. Not: the load generator (wrk), the
servers (servers, running), the arithmetic (figures).
"""

import argparse
import importlib
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))  # before this folder, where `receiver` would be this file

from benchmarks import figures
from benchmarks.figures import RATIOS, Round, Sweep
from benchmarks.running import (
    ROOT,
    SECRET,
    InvalidRunError,
    Process,
    Server,
    say,
    serving,
    settings_env,
    store,
    wait_until_idle,
)
from benchmarks.wrk import PATH, Generator, Load, LoadError, VoidError, find_wrk
from devstack.errors import StackError
from devstack.seaweed import server_version

# How each server is started; its neighbours are those it is compared with.
COMMANDS = {
    "object_per_event": ("benchmarks.servers", "object_per_event"),
    "bare": ("benchmarks.servers", "bare"),
    "durable": ("receiver",),
    "fastapi": ("benchmarks.servers", "fastapi"),
    "no_put": ("benchmarks.servers", "no_put"),
}
BUCKETS = {"object_per_event": "landing-objects", "fastapi": "landing-fastapi"}
BUCKET = "landing-durable"
STORING = {"object_per_event", "durable", "fastapi"}
CONNECTIONS = (1, 8, 64, 256, 1024)
COMPARED = (8, 64, 256)  # the numbers of connections that ratios are made of
WARM_SECONDS = 1
FIRST_RATE = 20_000  # events per second that a server is supposed to take, until its own rate is known
TRIES = 3
LIMIT_SECONDS = 17 * 60
STARTS = 5


@dataclass(frozen=True)
class Plan:
    """The amounts measured."""

    seconds: int = 3
    sweeps: int = 7  # at the numbers of connections that ratios are made of
    other_sweeps: int = 3
    least_counted: int = 5
    extra_sweeps: int = 8  # in place of those that don't count


FULL = Plan()
QUICK = Plan(seconds=2, sweeps=1, other_sweeps=1, least_counted=1, extra_sweeps=3)


@dataclass
class Bench:
    """Everything that runs, and what was measured so far."""

    generator: Generator
    servers: Mapping[str, Server]
    store: Process
    env: Mapping[str, str]
    seconds: int
    sweeps: list[Sweep] = field(default_factory=list)
    acknowledged: int = 0  # by the receiver itself
    _rates: dict[tuple[str, int], float] = field(default_factory=dict)

    def warm_up(self) -> None:
        """Drive each server once, unmeasured."""
        for name in self.servers:
            self.round(name, 64, WARM_SECONDS)

    def sweep(self, connections: int) -> None:
        """Measure each server once, and the idle store; every other sweep in the reverse order."""
        say(f"sweep {len(self.sweeps) + 1}: c={connections}")
        names = list(self.servers)
        idle = float(ask("benchmarks.bucket", "idle-put", env=self.env)["p50_ms"])
        rounds = {
            name: self.round(name, connections, self.seconds)
            for name in (reversed(names) if len(self.sweeps) % 2 else names)
        }
        self.sweeps.append(Sweep(connections, {name: rounds[name] for name in names}, idle))

    def round(self, name: str, connections: int, seconds: int) -> Round:
        """Measure one server once; a round that shows nothing is void, and measured again."""
        for tried in range(TRIES):
            try:
                return self._round(name, connections, seconds * (1 + tried))
            except VoidError as error:
                say(f"void: {error}")
                self._rates[name, connections] *= 2
        raise InvalidRunError(f"{name} at c={connections}: void again and again")

    def _round(self, name: str, connections: int, seconds: int) -> Round:
        """Measure one server once. Raises InvalidRunError, LoadError or StackError when that can't be trusted."""
        server = self.servers[name]
        wait_until_idle(server, self.store)
        counted = None if name == "bare" else server.counted()
        cpu = server.cpu_seconds()
        load = self._drive(name, connections, seconds)
        cpu_us = (server.cpu_seconds() - cpu) / load.acknowledged * 1e6
        wait_until_idle(server, self.store)
        if counted is None:
            return Round(load, cpu_us)
        since = server.counted().since(counted)
        if since.duplicates or min(since.accepted, since.events) < load.acknowledged:
            raise InvalidRunError(f"{name} answered {load.acknowledged} times at c={connections}, but counted {since}")
        if name == "durable":
            self.acknowledged += load.acknowledged
        return Round(load, cpu_us, since.events / since.files if name in STORING else None)

    def _drive(self, name: str, connections: int, seconds: int) -> Load:
        """Send for some seconds, from at least twice as many signed deliveries as the server took last time."""
        rate = self._rates.setdefault((name, connections), FIRST_RATE)
        supply = int(2 * rate * seconds) + 2 * connections + 100
        load = self.generator.run(self.servers[name].url + PATH, connections, seconds, supply)
        self._rates[name, connections] = load.rate
        return load


def ask(module: str, *words: str, env: Mapping[str, str]) -> dict[str, float]:
    """Run one of the benchmark's modules to its end and return the JSON object that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=ROOT, env=env, capture_output=True, check=False, timeout=180
    )
    if done.returncode != 0:
        raise InvalidRunError(f"{module} failed ({done.returncode}): {done.stderr.decode()[-2000:]}")
    answer: dict[str, float] = json.loads(done.stdout)
    return answer


@contextmanager
def bench(folder: Path, plan: Plan) -> Iterator[Bench]:
    """Start the store and every server; end them all with the block."""
    with ExitStack() as stack:
        seaweed, process = stack.enter_context(store(folder, [BUCKET, *BUCKETS.values()]))
        servers = {}
        for name, command in COMMANDS.items():
            env = settings_env(seaweed, BUCKETS.get(name, BUCKET))
            servers[name] = stack.enter_context(serving(command, env, folder / f"{name}.log"))
        yield Bench(Generator(folder, SECRET), servers, process, settings_env(seaweed, BUCKET), plan.seconds)


def measure(running: Bench, plan: Plan, deadline: float) -> None:
    """Run the sweeps, those of each number of connections spread over the run. Raises when too few count."""
    running.warm_up()
    for turn in range(plan.sweeps):
        for connections in CONNECTIONS:
            enough = len(figures.counted(running.sweeps, connections)) >= plan.least_counted
            if time.monotonic() > deadline and enough:
                continue
            if turn < plan.other_sweeps or connections in COMPARED:
                running.sweep(connections)
    for _ in range(plan.extra_sweeps):
        for connections in lacking(running.sweeps, plan):
            if time.monotonic() < deadline:
                running.sweep(connections)
    if missing := lacking(running.sweeps, plan):
        raise InvalidRunError(
            f"at c={', '.join(map(str, missing))} fewer than {plan.least_counted} rounds drove the bare handler "
            f"{figures.HEADROOM} times as fast as the receiver"
        )


def lacking(sweeps: Sequence[Sweep], plan: Plan) -> list[int]:
    """Return the numbers of connections at which too few sweeps count."""
    wanted = sorted({ratio.connections for ratio in RATIOS})
    return [connections for connections in wanted if len(figures.counted(sweeps, connections)) < plan.least_counted]


def check_landed(running: Bench) -> dict[str, float]:
    """Read the receiver's bucket. Raises InvalidRunError unless every acknowledged event is in it."""
    landed = ask("benchmarks.bucket", "count", env=running.env)
    if landed["events"] < running.acknowledged:
        raise InvalidRunError(f"{running.acknowledged} events were acknowledged, {landed} landed")
    return {"acknowledged": running.acknowledged, **landed}


def start_times(env: Mapping[str, str], folder: Path) -> dict[str, float]:
    """Measure a start: the receiver's import in a fresh interpreter, and from its spawn to listening, in ms."""
    code = "import time; began = time.perf_counter(); import receiver.__main__; print(time.perf_counter() - began)"
    imports, starts = [], []
    for number in range(STARTS):
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, check=True)
        imports.append(float(done.stdout) * 1e3)
        began = time.perf_counter()
        with serving(["receiver"], env, folder / f"start-{number}.log"):
            starts.append((time.perf_counter() - began) * 1e3)
    return {"import_ms": round(statistics.median(imports)), "listening_ms": round(statistics.median(starts))}


def check_needs() -> None:
    """Raise LoadError, StackError or ImportError when something that the run needs isn't here."""
    find_wrk()
    server_version()
    try:
        importlib.import_module("fastapi")
    except ImportError as error:
        raise ImportError(f"needs fastapi, to compare with (pip install 'wpp-lake[bench]'): {error}") from error


def allow_connections() -> None:
    """Let this process and those it starts open as many files as they may: a connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def run(plan: Plan, parent: Path) -> tuple[dict[str, object], list[str]]:
    """Measure everything; return the report and the lines of the table."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wpp-lake-bench-", dir=parent) as name:
        folder = Path(name)
        with bench(folder, plan) as running:
            start = start_times(running.env, folder)
            measure(running, plan, began + LIMIT_SECONDS)
            landed = check_landed(running)
    idle = statistics.median(sweep.idle_put_p50_ms for sweep in running.sweeps)
    report: dict[str, object] = {
        "ratios": figures.ratios(running.sweeps),
        "spread": figures.spread(running.sweeps),
        "cells": figures.cells(running.sweeps),
        "idle_put_p50_ms": round(idle, 2),
        "start": start,
        "landed": landed,
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release()},
        "seconds": round(time.monotonic() - began),
    }
    return report, list(figures.table(running.sweeps))


def main() -> int:
    """Return 0 when everything was measured, 1 when the run can't be trusted, 2 when something it needs is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object; the table goes to standard error")
    parser.add_argument("--quick", action="store_true", help="one short sweep: shows that it works, not how fast")
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on the disk to measure")  # noqa: S108  (a folder of its own is made in it)
    arguments = parser.parse_args()
    allow_connections()
    try:
        check_needs()
    except (LoadError, StackError, ImportError) as error:
        say(f"benchmarks/receiver.py: {error}")
        return 2
    try:
        report, lines = run(QUICK if arguments.quick else FULL, arguments.folder)
    except (InvalidRunError, LoadError, StackError) as error:
        say(f"benchmarks/receiver.py: not a valid run: {error}")
        return 1
    print("\n".join(lines), file=sys.stderr if arguments.json else sys.stdout)
    if arguments.json:
        print(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
