"""The lakes whose snapshots are written, one database per day, their servers, and a round with one of them.

Belongs here: preparing them, and what makes a round valid. Not: which rounds are run (snapshot), the rows (days), the
ways of writing (writes).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg import sql

from benchmarks import rounds
from benchmarks.days import DATE, Day, make_day, make_seeds
from benchmarks.landings import Landing
from benchmarks.running import ROOT, InvalidRunError, Process, database_server, say, settings_env, store
from devstack.postgres import Postgres
from devstack.seaweed import Seaweed
from pipelines.db.migrations import migrate
from pipelines.snapshots.bucket import snapshot_key
from pipelines.snapshots.schemas import EVENTS, SCHEMAS

KEY = snapshot_key(EVENTS, DATE)
LANDING, SNAPSHOTS = "landing", "snapshots"  # buckets
SEEDS = "seeds"


@dataclass(frozen=True)
class Round:
    """One way of writing one day, once. `cpu` has CPU time by wall time, as shares of a core."""

    rows: int
    seconds: float
    peak_mb: float
    cpu: Mapping[str, float]
    size: int  # of the file, in bytes

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds


@dataclass(frozen=True)
class Lakes:
    """Everything that runs."""

    postgres: Postgres
    seaweed: Seaweed
    servers: Mapping[str, Process]
    env: Mapping[str, str]
    folder: Path

    def prepare(self, seeds: Landing, days: Sequence[Day]) -> None:
        """Land and load what the days are made of, and make them."""
        words = [seeds.day, seeds.hours_count, seeds.files_per_hour, seeds.events_per_file]
        with rounds.child(self.folder, self.env, "benchmarks.landings", *map(str, words)) as landing:
            landing.wait()
        self.postgres.create_databases([SEEDS])
        migrate(self.postgres.url(SEEDS))
        self._done("benchmarks.loads", "loader", *(hour.isoformat() for hour in seeds.hours), database=SEEDS)
        make_seeds(self.postgres.url(SEEDS))
        with ThreadPoolExecutor(len(days)) as pool:
            list(pool.map(self._make, days))

    def _make(self, day: Day) -> None:
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as conn:
            names = map(sql.Identifier, (day.name, SEEDS))
            conn.execute(sql.SQL("create database {} template {} strategy file_copy").format(*names))
        make_day(self.postgres.url(day.name), day)

    def fetched(self, key: str) -> Path:
        """Return a file that holds what is in the snapshot bucket now."""
        file = self.folder / Path(key).name
        self.seaweed.client().download_file(SNAPSHOTS, key, str(file))
        return file

    def size(self, key: str) -> int:
        """Return the length in bytes of what is in the snapshot bucket now."""
        return self.seaweed.client().head_object(Bucket=SNAPSHOTS, Key=key)["ContentLength"]

    def check_same(self, key: str, other: str) -> None:
        """Raise InvalidRunError unless two files in the snapshot bucket have the same rows, in the same order."""
        ours, theirs = (pq.ParquetFile(self.fetched(each)).read() for each in (key, other))
        if not theirs.cast(ours.schema).equals(ours):
            raise InvalidRunError(f"{other} has other rows than {key}")

    def measure(self, way: str, day: Day, *words: str, size: Callable[[], int]) -> Round:
        """Write a day. Raises InvalidRunError unless all of its rows were written."""
        with psycopg.connect(self.postgres.url("postgres"), autocommit=True) as conn:
            conn.execute("checkpoint")  # so that no round writes what the last one left
        before = self._server_seconds()
        said = self._done("benchmarks.writes", way, *words, database=day.name)
        seconds = said["ended"] - said["began"]
        cpu = {name: after - before[name] for name, after in self._server_seconds().items()}
        if said["done"] != day.rows:
            raise InvalidRunError(f"{way} wrote {said['done']} rows, not {day.rows}")
        say(f"  {way}: {day.rows} rows in {seconds:.2f} s")
        cpu = {name: took / seconds for name, took in {"own": said["cpu_seconds"], **cpu}.items()}
        return Round(day.rows, seconds, said["peak_mb"], cpu, size())

    def _done(self, *words: str, database: str) -> dict[str, float]:
        env = {**self.env, "DATABASE_URL": self.postgres.url(database)}
        with rounds.child(self.folder, env, *words) as process:
            rounds.wait_until_ready([process])
            return rounds.take([process])[0][-1]
        raise AssertionError  # a process that ends too early raises its own

    def _server_seconds(self) -> dict[str, float]:
        return {name: process.family_cpu_seconds() for name, process in self.servers.items()}


def lay_out(snapshot: Path, file: Path) -> None:
    """Leave a snapshot's row groups in an uncompressed Arrow file."""
    parquet = pq.ParquetFile(snapshot)
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, SCHEMAS[EVENTS]) as writer:
        for number in range(parquet.num_row_groups):
            writer.write_table(parquet.read_row_group(number).cast(SCHEMAS[EVENTS]).combine_chunks())


@contextmanager
def start(folder: Path) -> Iterator[Lakes]:
    """Start the servers; as in the embedded stack, the snapshot bucket isn't written through to the disk."""
    with ExitStack() as stack:
        seaweed, weed = stack.enter_context(store(folder, [LANDING]))
        seaweed.client().create_bucket(Bucket=SNAPSHOTS)
        postgres, postmaster = stack.enter_context(database_server(folder))
        env = {**settings_env(seaweed, LANDING), "SNAPSHOT_BUCKET": SNAPSHOTS, "PYTHONPATH": str(ROOT)}
        env |= {"DAGSTER_DISABLE_TELEMETRY": "yes", "DO_NOT_TRACK": "1"}
        yield Lakes(postgres, seaweed, {"postgres": postmaster, "store": weed}, env, folder)
