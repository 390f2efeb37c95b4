"""What the embedded stack costs while little happens: idle, and with one event every two seconds.

Belongs here: starting the stack, sending, and reading from outside what its processes take and how late events are.
Not: what they do. CPU time is that of the whole process tree, run workers included.
"""

import argparse
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.running import say
from devstack.waiting import free_ports
from pipelines import env_file
from pipelines.landing.hours import today
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from receiver.landing import signature

EVERY_SECONDS = 2
LOOK_SECONDS = 0.5
SETTLE_SECONDS = 90  # after READY: daemons make their first rounds
LATEST_SECONDS = 20 * 60  # nothing takes as long to reach Parquet
VERBS = [sys.executable, "-m", "pipelines.cli"]
PATH = "/api/webhooks/whatsapp"
SECRET = secrets.token_hex(32)
TICK = 1 / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> Iterator[int]:
    """Yield a process and what descends from it."""
    yield pid
    with suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from tree(int(child))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process tree so far, with that of the children that ended and were waited for."""
    ticks = 0
    for each in tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks * TICK


def pss_megabytes(pid: int) -> float:
    """Return the memory of a process tree, each shared page divided among those that share it."""
    kilobytes = 0
    for each in tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            rollup = Path(f"/proc/{each}/smaps_rollup").read_text()
            kilobytes += int(rollup.partition("\nPss:")[2].split()[0])
    return kilobytes / 1000


class Cost:
    """The CPU time of a stack's processes, by their names, since it was made."""

    def __init__(self, up: int, data_dir: Path) -> None:
        self._up, self._data_dir = up, data_dir
        self.began, self._before = time.monotonic(), self._now()

    def _now(self) -> dict[str, float]:
        record = json.loads((self._data_dir / "processes.json").read_text())
        found = {each["name"]: cpu_seconds(each["pid"]) for each in record["processes"]}
        return found | {"all": cpu_seconds(self._up)}

    def cores(self) -> dict[str, float]:
        """Return how much of a core each took on average."""
        seconds, now = time.monotonic() - self.began, self._now()
        return {name: round((now[name] - self._before[name]) / seconds, 4) for name in now}


@contextmanager
def running_stack() -> Iterator[tuple[int, Path, str]]:
    """Run `up` with Dagster; yield its process id, its data directory and the receiver's address."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DATABASE_", "DAGSTER_"))}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        data_dir, (receiver, dagster) = Path(folder) / "lake", free_ports(2)
        ports = ("--receiver-port", str(receiver), "--dagster-port", str(dagster))
        words = [*VERBS, "up", "--data-dir", str(data_dir), *ports]
        up = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=own | {"WHATSAPP_WEBHOOK_SECRET": SECRET})
        try:
            if not any(line.startswith("READY") for line in up.stdout or ()):
                sys.exit("the stack didn't start")
            os.environ.update(env_file.read(data_dir))
            yield up.pid, data_dir, f"http://127.0.0.1:{receiver}{PATH}"
        finally:
            up.send_signal(signal.SIGTERM)
            up.wait(120)


def post(url: str, number: int) -> str:
    """Send one event as the collector does; return its id."""
    chat, event_id = "120363000000000001@g.us", str(uuid.uuid4())
    key = {"remoteJid": chat, "fromMe": False, "id": str(number), "participant": f"{910000000000000 + number % 50}@lid"}
    payload = {"key": key, "messageTimestamp": int(time.time()), "message": {"conversation": f"n. {number}"}}
    body = json.dumps({"type": "messages.upsert", "chat_jid": chat, "payload": payload}).encode()
    signed = signature(SECRET.encode(), "current", event_id.encode(), body)
    headers = {"Content-Type": "application/json", "X-Event-Id": event_id, "X-Signature": signed}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=15):  # noqa: S310  our own address
        return event_id


class Watch:
    """Which events are in the tables and in Parquet, and how long after they were posted they were seen there."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self._conn, self._store = conn, SnapshotStore(LakeSettings.from_environment())
        self._posted: dict[str, float] = {}
        self._written: object = None
        self.rows: dict[str, float] = {}
        self.parquet: dict[str, float] = {}

    def add(self, event_id: str) -> None:
        """Note that an event was posted just now."""
        self._posted[event_id] = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether every event is in Parquet."""
        return len(self.parquet) == len(self._posted)

    def look(self) -> None:
        """See what has come into the tables and into Parquet."""
        now, waiting = time.monotonic(), [each for each in self._posted if each not in self.rows]
        if waiting:
            known = self._conn.execute(
                "select event_id::text from whatsapp_events where event_id = any(%s::uuid[])", [waiting]
            )
            self.rows |= {str(event_id): now - self._posted[str(event_id)] for (event_id,) in known}
        newest = """select max(written_at) from snapshot_files where "table" = 'whatsapp_events'"""
        (written,) = self._conn.execute(newest).fetchone() or (None,)
        if written != self._written:
            self._written = written
            ids = self._store.read("whatsapp_events", today(), ["event_id"])["event_id"].to_pylist()
            self.parquet |= {str(each): now - self._posted[str(each)] for each in ids if each not in self.parquet}


def main() -> None:
    """Measure the stack idle, then with events, and then until the last one is in Parquet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="of each part")
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with running_stack() as (up, data_dir, url):
        settings = LakeSettings.from_environment()
        dagster_url = settings.dagster_postgres_url.get_secret_value().replace("+psycopg2", "")
        with psycopg.connect(settings.conninfo, autocommit=True) as conn, psycopg.connect(dagster_url) as dagster:
            time.sleep(SETTLE_SECONDS)
            cost = Cost(up, data_dir)
            time.sleep(words.seconds)
            idle, pss = cost.cores(), pss_megabytes(up)
            say(f"idle: {idle}; {pss:.0f} MB")
            before = counted(dagster)
            watch, cost = Watch(conn), Cost(up, data_dir)
            for number in range(int(words.seconds / EVERY_SECONDS)):
                watch.add(post(url, number))
                until = cost.began + (number + 1) * EVERY_SECONDS
                while time.monotonic() < until:
                    watch.look()
                    time.sleep(LOOK_SECONDS)
            steady, after = cost.cores(), counted(dagster)
            say(f"steady: {steady}")
            until = time.monotonic() + LATEST_SECONDS
            while not watch.is_over and time.monotonic() < until:
                watch.look()
                time.sleep(LOOK_SECONDS)
            if not watch.is_over:
                sys.exit(f"after {LATEST_SECONDS} s only {len(watch.parquet)} events are in Parquet")
    delays, sent = sorted(watch.rows.values()), len(watch.rows)
    figures = {
        "idle_core": idle["all"],
        "steady_core": steady["all"],
        "row_delay_p50_s": round(statistics.median(delays), 1),
        "row_delay_p95_s": round(delays[int(len(delays) * 0.95)], 1),
        "parquet_delay_max_s": round(max(watch.parquet.values())),
        "load_runs": after["load"] - before["load"],
        "dagster_rows_per_event": round((after["rows"] - before["rows"]) / sent, 2),
        "pss_mb": round(pss),
        "idle_by_process": idle,
        "steady_by_process": steady,
    }
    print(json.dumps(figures) if words.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


def counted(dagster: psycopg.Connection[Any]) -> Counter[str]:
    """Return how many rows of events and how many runs of each job Dagster's database has."""
    with dagster.transaction():
        found = Counter(dict(dagster.execute("select pipeline_name, count(*) from runs group by 1").fetchall()))
        (found["rows"],) = dagster.execute("select count(*) from event_logs").fetchone() or (0,)
    return found


if __name__ == "__main__":
    main()
