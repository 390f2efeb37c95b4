"""The whole zone on Spark beside the loader's tables: equal or not, how the work divides, what it costs.

Belongs here: the order of a run, and its lines. Not: what lands (zone), the cluster (cluster), comparing (comparison).
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg

from benchmarks import zone
from benchmarks.cluster import Ran, java, run_job
from benchmarks.comparison import Difference, compare_snapshots, compare_tables
from benchmarks.running import InvalidRunError, database_server, say, serving, settings_env, store
from pipelines.db.connection import Connection
from pipelines.db.migrations import migrate
from pipelines.landing.zone import LandingZone
from pipelines.loading.load import load
from pipelines.privacy.apply import Request, apply
from pipelines.privacy.people import of_person
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.stale import stale_dates
from pipelines.snapshots.write import write_snapshots

LANDING, SNAPSHOTS, OF_SPARK, DATABASE = "landing", "snapshots", "snapshots-spark", "scale"
ERASURE_KEY = "benchmark-key-of-32-bytes-length"
SHOWN = 10  # differences that are named, of each table or file
BUSIEST = (
    "select participant_jid from whatsapp_events where participant_jid is not null"
    " group by 1 order by count(*) desc, 1 limit 1"
)


def fill(lake: LandingZone, lines: int, env: dict[str, str], folder: Path) -> None:
    """Land the lines, and let the receiver take what it accepts."""
    zone.land(lake.store, lines)
    own = {**env, "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS": json.dumps([zone.HOSTILE_SECRET])}
    with serving(["receiver"], own, folder / "receiver.log") as receiver:
        zone.send(receiver.url, receiver.port)


def publish(settings: LakeSettings, conn: Connection, lake: LandingZone) -> int:
    """Load everything, erase who wrote most, and write Postgres' snapshots; return how many lines were loaded."""
    hours = sorted({file.hour for page in lake.files() for file in page})
    counts = load(conn, lake, hours, "run")
    (jid,) = conn.execute(BUSIEST).fetchone() or ("",)
    apply(settings, conn, Request(of_person(conn, jid), "benchmark", "benchmark"))
    for day in stale_dates(conn):
        list(write_snapshots(settings, SnapshotStore(settings), day))
    say(f"loaded: {counts}")
    return counts.lines


def report(results: Iterator[tuple[str, int, list[Difference]]]) -> int:
    """Print each table or file with its rows and differences; return how many there are."""
    total = 0
    for where, rows, found in results:
        print(f"  {where}: {rows} rows, {len(found)} differences")
        for each in found[:SHOWN]:
            print(f"    {each.row}: {each.what}")
        total += len(found)
    return total


def shares(ran: Ran) -> str:
    """Return how the tasks, and the time in them, were divided among the workers, in percent."""
    def divided(counts: dict[str, int]) -> str:
        return ":".join(f"{100 * counts[each] / sum(counts.values()):.0f}" for each in sorted(counts))

    return f"{dict(sorted(ran.tasks.items()))} tasks, {divided(dict(ran.tasks))}; time in them {divided(dict(ran.busy_ms))}"


def main() -> None:
    """Run it; exit 1 on any difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=40_000, help="landed lines, about")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    words = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        try:
            home, source = java(folder)
        except InvalidRunError as error:
            sys.exit(str(error))
        print(f"Java: {source}")
        seaweed, _ = stack.enter_context(store(folder, [LANDING, SNAPSHOTS, OF_SPARK]))
        postgres, _ = stack.enter_context(database_server(folder))
        postgres.create_databases([DATABASE])
        migrate(postgres.url(DATABASE))
        env = settings_env(seaweed, LANDING)
        env |= {
            "SNAPSHOT_BUCKET": SNAPSHOTS, "ERASURE_KEY": ERASURE_KEY,
            "WHATSAPP_WEBHOOK_RETIRED_SECRETS": json.dumps([zone.HOSTILE_SECRET]),
        }  # fmt: skip
        os.environ.update(env | {"DATABASE_URL": postgres.url(DATABASE)})
        settings = LakeSettings.from_environment()
        lake = LandingZone(settings)
        fill(lake, words.lines, env, folder)
        say("landed")
        conn = stack.enter_context(psycopg.connect(postgres.url(DATABASE), autocommit=True))
        publish(settings, conn, lake)
        tables = folder / "tables"
        began = time.monotonic()
        ran = run_job(folder / "spark", home, env | {"SNAPSHOT_BUCKET": OF_SPARK}, ["--tables", tables.as_uri()])
        print(ran.said.rstrip())
        print(f"{time.monotonic() - began:.0f} s, {ran.cpu_seconds:.1f} CPU s, driver's peak {ran.driver_mb:.0f} MB")
        print(f"workers: {shares(ran)}")
        of_spark = SnapshotStore(settings.model_copy(update={"snapshot_bucket": OF_SPARK}))
        total = report(compare_tables(conn, str(tables)))
        total += report(compare_snapshots(SnapshotStore(settings), of_spark))
        print(f"{total} differences")
        sys.exit(bool(total))


if __name__ == "__main__":
    main()
