"""An erasure of one person in a lake of many events: what each step takes, and its proof.

Belongs here: landing, loading, and timing the steps in CPU seconds and memory. Not: what a step does.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.landings import Landing, Traffic, land
from benchmarks.running import database_server, say, settings_env, store
from pipelines.db.migrations import migrate
from pipelines.landing.zone import LandingZone
from pipelines.loading.load import load
from pipelines.privacy.apply import Request, apply, sweep
from pipelines.privacy.people import of_person
from pipelines.privacy.proof import verify
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.write import write_snapshots

LANDING, SNAPSHOTS, DATABASE = "landing", "snapshots", "erase"
EVENTS_PER_FILE, HOURS = 500, 20
KEY = "benchmark-key-of-32-bytes-length"


def timed(name: str, work: Callable[[], Any]) -> dict[str, Any]:
    """Return what some work takes: seconds, those of this process' CPU, and the most memory so far in MB."""
    began, cpu = time.monotonic(), time.process_time()
    work()
    figures = {
        "seconds": round(time.monotonic() - began, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    say(f"{name}: {figures}")
    return figures


def main() -> None:
    """Land, load and publish; erase the one who wrote most; prove it; sweep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    figures: dict[str, Any] = {"events": words.events}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        seaweed, _ = stack.enter_context(store(folder, [LANDING, SNAPSHOTS]))
        postgres, _ = stack.enter_context(database_server(folder))
        postgres.create_databases([DATABASE])
        migrate(postgres.url(DATABASE))
        os.environ.update({**settings_env(seaweed, LANDING), "DATABASE_URL": postgres.url(DATABASE)})
        os.environ |= {"SNAPSHOT_BUCKET": SNAPSHOTS, "ERASURE_KEY": KEY}
        settings = LakeSettings.from_environment()
        zone = LandingZone(settings)
        landing = Landing(21, HOURS, words.events // EVENTS_PER_FILE // HOURS, EVENTS_PER_FILE)
        land(zone.store, landing, Traffic(0))
        say("landed")
        conn = stack.enter_context(psycopg.connect(postgres.url(DATABASE), autocommit=True))
        figures["load"] = timed("load", lambda: load(conn, zone, landing.hours, "run"))
        days = sorted({hour.date() for hour in landing.hours})
        for day in days:
            list(write_snapshots(settings, SnapshotStore(settings), day))
        (jid,) = conn.execute(
            "select participant_jid from whatsapp_events where participant_jid is not null"
            " group by 1 order by count(*) desc, 1 limit 1"
        ).fetchone() or ("",)
        done: list[Any] = []
        request = Request(of_person(conn, jid), "benchmark", "benchmark")
        figures["apply"] = timed("apply", lambda: done.append(apply(settings, conn, request)))
        figures["steps"] = {name: round(seconds, 2) for name, seconds in done[0].seconds.items()}
        figures["counts"] = dict(done[0].counts)
        figures["sweep"] = timed("sweep", lambda: sweep(settings, conn))
        proof: list[Any] = []
        figures["verify"] = timed("verify", lambda: proof.append(verify(settings, conn, done[0].erasure.id)))
        figures["matches"] = proof[0]["matches"]
        say(str(figures))
    print(json.dumps(figures) if words.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
