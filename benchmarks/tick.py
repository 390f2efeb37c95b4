"""A tick of the sensor that finds landing files, in a young lake and in an old one: it should cost the same.

Belongs here: landing many small files, and timing ticks and a whole listing in CPU seconds. Not: what a tick does.
"""

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import obstore
import psycopg

from benchmarks.running import database_server, say, settings_env, store
from pipelines.db.connection import Connection
from pipelines.db.migrations import migrate
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.sensors import new_landing_files
from pipelines.settings import LakeSettings
from receiver.landing import hour_prefix

BUCKET, DATABASE = "landing", "ticks"
FILES_PER_HOUR = 1800  # one event every two seconds
PUTS_AT_ONCE = 64
TICKS = 5
LINE = b"{}\n"


async def land(keys: list[str]) -> None:
    """Put one small file per key."""
    bucket, places = Lake().landing_zone().store, asyncio.Semaphore(PUTS_AT_ONCE)

    async def put(key: str) -> None:
        async with places:
            await obstore.put_async(bucket, key, LINE)

    for start in range(0, len(keys), 10_000):
        await asyncio.gather(*map(put, keys[start : start + 10_000]))
        say(f"{min(start + 10_000, len(keys))} of {len(keys)} files landed")


def keys_until(now: datetime, files: int) -> list[str]:
    """Return the keys of so many files, landed at a steady rate until now."""
    moments = (now - timedelta(hours=number / FILES_PER_HOUR) for number in range(files))
    return [f"{hour_prefix(moment)}{number:012}.jsonl" for number, moment in enumerate(moments)]


def enter(conn: Connection) -> None:
    """Enter every landed file into the ledger."""
    ledger = "copy landing_files (key, etag, size, lines, loaded, duplicates, quarantined, rules) from stdin"
    with conn.cursor() as cursor, cursor.copy(ledger) as rows:
        for page in Lake().landing_zone().files():
            for file in page:
                rows.write_row((file.key, file.etag, file.size, 1, 0, 1, 0, 1))
    conn.execute("analyze landing_files")


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of this process that some work takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


def measured(instance: dg.DagsterInstance, conn: Connection) -> dict[str, float]:
    """Return what a tick and a whole listing take."""
    whole = cpu_seconds(Lake().pending_hours)
    cursor = (datetime.now(UTC) - timedelta(seconds=10)).isoformat()

    def tick() -> None:
        result = new_landing_files(dg.build_sensor_context(instance=instance, cursor=cursor), lake=Lake())
        if not isinstance(result, dg.SensorResult) or result.run_requests:
            raise SystemExit(f"a tick asked for something: {result}")

    tick()
    ticks = sorted(cpu_seconds(tick) for _ in range(TICKS))
    (files,) = conn.execute("select count(*) from landing_files").fetchone() or (0,)
    return {"files": files, "tick_cpu_s": ticks[TICKS // 2], "listing_cpu_s": whole}


def main() -> None:
    """Measure a lake with the files of three hours, then one with many more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300_000)
    parser.add_argument("--json", action="store_true")
    words = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/var/tmp")))
        seaweed, _ = stack.enter_context(store(folder, [BUCKET]))
        postgres, _ = stack.enter_context(database_server(folder))
        postgres.create_databases([DATABASE])
        migrate(postgres.url(DATABASE))
        os.environ.update({**settings_env(seaweed, BUCKET), "DATABASE_URL": postgres.url(DATABASE)})
        LakeSettings.from_environment()
        instance = stack.enter_context(dg.DagsterInstance.ephemeral())
        conn = stack.enter_context(psycopg.connect(postgres.url(DATABASE), autocommit=True))
        keys, found = keys_until(datetime.now(UTC), words.files), []
        for young, old in ((0, 3 * FILES_PER_HOUR), (3 * FILES_PER_HOUR, len(keys))):
            asyncio.run(land(keys[young:old]))
            conn.execute("truncate landing_files")
            enter(conn)
            found.append(measured(instance, conn))
            say(str(found[-1]))
    figures = {"young": found[0], "old": found[1], "tick_old_vs_young": found[1]["tick_cpu_s"] / found[0]["tick_cpu_s"]}
    print(json.dumps(figures) if words.json else "\n".join(f"{name}: {value}" for name, value in figures.items()))


if __name__ == "__main__":
    main()
