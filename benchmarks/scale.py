"""The whole zone on Spark beside the loader's tables: equal or not, how the work divides, what it costs.

Belongs here: the order of a run, and its lines. Not: what lands (zone), the cluster (cluster), comparing (comparison).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from benchmarks import zone
from benchmarks.cluster import Ran, java, run_job
from benchmarks.comparison import KEYS, Difference, compare_snapshots, compare_table, refused
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
FEWER = 10  # times fewer lines has the run whose cost is taken for the start: by then Spark has compiled most
SHOWN = 10  # differences that are named, of each table or file
BUSIEST = (
    "select participant_jid from whatsapp_events where participant_jid is not null"
    " group by 1 order by count(*) desc, 1 limit 1"
)
# One value of each table, altered: a comparison that doesn't find it could find nothing.
ALTERATIONS = {
    "whatsapp_groups": "set last_seen_at = last_seen_at + interval '1 us'",
    "whatsapp_participants": "set push_name = coalesce(push_name, '') || '.'",
    "whatsapp_participant_jids": "set participant_id = (select id from whatsapp_participants where id <> participant_id"
    " limit 1)",
    "whatsapp_jid_pairs": "set event_id = uuidv7()",
    "whatsapp_events": "set payload = jsonb_build_array(payload)",
    "whatsapp_event_revisions": "set landing_line = landing_line + 1",
}


def fill(lake: LandingZone, env: dict[str, str], folder: Path) -> None:
    """Land what is odd, and let the receiver take what it accepts."""
    zone.land_odd(lake.store)
    own = {**env, "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS": json.dumps([zone.HOSTILE_SECRET])}
    with serving(["receiver"], own, folder / "receiver.log") as receiver:
        zone.send(receiver.url, receiver.port)


def publish(settings: LakeSettings, conn: Connection, lake: LandingZone) -> None:
    """Load everything, erase who wrote most, who is delivered again then, and write Postgres' snapshots."""
    counts = [load(conn, lake, _hours(lake), "run")]
    (jid,) = conn.execute(BUSIEST).fetchone() or ("",)
    before = _first_with(lake, jid.partition("@")[0].encode())
    apply(settings, conn, Request(of_person(conn, jid), "benchmark", "benchmark"))
    zone.land_again(lake.store, before)
    counts.append(load(conn, lake, _hours(lake), "run"))
    for day in stale_dates(conn):
        list(write_snapshots(settings, SnapshotStore(settings), day))
    say("; ".join(f"loaded {each}" for each in counts))


def _hours(lake: LandingZone) -> list[datetime]:
    return sorted({file.hour for page in lake.files() for file in page})


def _first_with(lake: LandingZone, digits: bytes) -> bytes:
    """Return the first landing file that holds some digits."""
    fetched = (each.content for page in lake.files() for each in lake.fetch(page))
    return next(content for content in fetched if digits in content)


def report(where: str, rows: int, found: list[Difference]) -> int:
    """Print a table or file with its rows and differences; return how many those are."""
    print(f"  {where}: {rows:,} rows, {len(found)} differences")
    for each in found[:SHOWN]:
        print(f"    {each.row}: {each.what}")
    return len(found)


def compare(settings: LakeSettings, conn: Connection, tables: str) -> int:
    """Compare tables and snapshots; return how many differences there are."""
    ours, theirs = (
        SnapshotStore(settings.model_copy(update={"snapshot_bucket": each})) for each in (SNAPSHOTS, OF_SPARK)
    )
    total = sum(report(table, *compare_table(conn, tables, table)) for table in KEYS)
    left_out = refused(conn)
    total += sum(report(*each) for each in compare_snapshots(ours, theirs, left_out))
    print(f"  left out: {len(left_out)} lines that Postgres refused")
    return total


def unnoticed(conn: Connection, tables: str) -> list[str]:
    """Alter one value of each of Postgres' tables, for the moment; return the tables where the comparison is blind."""
    blind = []
    for table, change in ALTERATIONS.items():
        statement = sql.SQL("update {0} {1} where ctid = (select ctid from {0} limit 1)")
        with conn.transaction(force_rollback=True):
            conn.execute(statement.format(sql.Identifier(table), sql.SQL(change)))
            if len(compare_table(conn, tables, table)[1]) != 1:
                blind.append(table)
    return blind


def shares(counts: Mapping[str, int]) -> str:
    """Return how something was divided among the workers, in percent."""
    return ":".join(f"{100 * counts[each] / sum(counts.values()):.0f}" for each in sorted(counts))


@dataclass(frozen=True)
class Scene:
    """Everything that a run needs: the servers' settings, a folder, and a Java."""

    env: dict[str, str]
    folder: Path
    home: Path

    @property
    def tables(self) -> Path:
        """The folder of the tables that the job writes."""
        return self.folder / "tables"

    def run(self, name: str) -> Ran:
        """Run the job, and print what it took."""
        began, env = time.monotonic(), self.env | {"SNAPSHOT_BUCKET": OF_SPARK}
        ran = run_job(self.folder / name, self.home, env, ["--tables", self.tables.as_uri()])
        seconds, lines = time.monotonic() - began, ran.said.partition(" ")[0]
        print(f"{name}: {lines} lines, {seconds:.0f} s, {ran.cpu_seconds:.1f} CPU s, driver {ran.driver_mb:.0f} MB")
        return ran


def measure(scene: Scene, lines: int, settings: LakeSettings, conn: Connection) -> int:
    """Land, load and compute, first a tenth, then all of it; compare, and return how much differs or isn't noticed."""
    lake = LandingZone(settings)
    fill(lake, scene.env, scene.folder)
    zone.land(lake.store, lines // FEWER, seed=1)
    start = scene.run("start")
    zone.land(lake.store, lines - lines // FEWER, seed=2)
    publish(settings, conn, lake)
    ran = scene.run("whole")
    print(ran.said.rstrip())
    print(f"tasks of the workers: {dict(sorted(ran.tasks.items()))}, {shares(ran.tasks)}; busy {shares(ran.busy_ms)}")
    cost = (ran.cpu_seconds - start.cpu_seconds) / (_lines(ran) - _lines(start))
    print(f"CPU per further line: {1000 * cost:.2f} ms, of master, workers, executors and driver")
    total, blind = compare(settings, conn, str(scene.tables)), unnoticed(conn, str(scene.tables))
    print(f"altered values that the comparison finds: {len(ALTERATIONS) - len(blind)} of {len(ALTERATIONS)}")
    print(f"{total} differences")
    return total + len(blind)


def _lines(ran: Ran) -> int:
    return int(ran.said.partition(" ")[0])


def main() -> None:
    """Run it; exit 1 on any difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=40_000, help="landed lines, about")
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
        env = settings_env(seaweed, LANDING) | {
            "SNAPSHOT_BUCKET": SNAPSHOTS,
            "ERASURE_KEY": ERASURE_KEY,
            "WHATSAPP_WEBHOOK_RETIRED_SECRETS": json.dumps([zone.HOSTILE_SECRET]),
        }
        os.environ.update(env | {"DATABASE_URL": postgres.url(DATABASE)})
        conn = stack.enter_context(psycopg.connect(postgres.url(DATABASE), autocommit=True))
        sys.exit(bool(measure(Scene(env, folder, home), words.lines, LakeSettings.from_environment(), conn)))


if __name__ == "__main__":
    main()
