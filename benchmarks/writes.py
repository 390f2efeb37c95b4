"""Ways of writing snapshots, each measured in a process of its own: `python -m benchmarks.writes WAY`.

Belongs here: this writer, its ceiling, and what it is compared with. Not: which is measured when (snapshot.py).
"""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import SecretStr

from benchmarks import rounds
from benchmarks.days import DATE
from pipelines.orchestration.resources import Lake
from pipelines.snapshots import write as snapshots
from pipelines.snapshots.parquet import options
from pipelines.snapshots.schemas import EVENTS, SCHEMAS

PEER_KEY = "duckdb.parquet"
PEER_MEMORY = "4GB"
Work = Callable[[], int]  # returns how many rows were written


@contextmanager
def lake() -> Iterator[Work]:
    """Write the day's events into the snapshot bucket, as `wpp-lake snapshot` does."""
    settings, store = Lake().settings(), Lake().snapshot_store()
    yield lambda: sum(written.rows for written in snapshots.write_snapshots(settings, store, DATE))


@contextmanager
def duckdb_postgres() -> Iterator[Work]:
    """Write the same rows to the same bucket, in the same order and with the same types, with DuckDB's extensions."""
    duckdb = importlib.import_module("duckdb")  # by name and here: no other way should have it in its memory
    settings, store = Lake().settings(), urlsplit(str(Lake().settings().aws_endpoint_url_s3))
    with duckdb.connect(config={"memory_limit": PEER_MEMORY, "temp_directory": "spilled"}) as conn:
        for extension, entry_point in {"httpfs": "httpfs", "postgres": "postgres_scanner"}.items():
            conn.load_extension(str(_shipped(extension, entry_point)))
        conn.execute("set TimeZone = 'UTC'")
        conn.execute(f"attach '{settings.conninfo}' as lake (type postgres, read_only)")
        conn.execute(
            "create secret (type s3, url_style path, use_ssl false, endpoint $endpoint, region $region, key_id $key,"
            " secret $secret)",
            {
                "endpoint": store.netloc,
                "region": settings.aws_region,
                "key": _revealed(settings.aws_access_key_id),
                "secret": _revealed(settings.aws_secret_access_key),
            },
        )
        statement = Path(__file__).with_name("duckdb.sql").read_text()
        statement = statement.format(date=DATE, file=f"s3://{settings.snapshot_bucket}/{PEER_KEY}")
        yield lambda: int(conn.execute(statement).fetchall()[0][0])


def _shipped(extension: str, entry_point: str) -> Path:
    """Return an extension as DuckDB loads it: by the name of its entry point, which its wheel has shortened."""
    wheel = importlib.import_module(f"duckdb_extension_{extension}")
    [file] = Path(str(wheel.__file__)).parent.glob("extensions/*/*")
    link = Path(f"{entry_point}.duckdb_extension").absolute()
    link.symlink_to(file)
    return link


def _revealed(secret: SecretStr | None) -> str:
    return secret.get_secret_value() if secret else ""


@contextmanager
def pyarrow_writer(laid_out: str, file: str) -> Iterator[Work]:
    """Write row groups that are in memory, the page cache's, with the bare writer and the snapshots' options."""
    schema = SCHEMAS[EVENTS]

    def work() -> int:
        with pa.memory_map(laid_out) as source, pq.ParquetWriter(file, schema, **options(schema)) as writer:
            groups = pa.ipc.open_file(source)
            for number in range(groups.num_record_batches):
                writer.write_batch(groups.get_batch(number))
        return pq.read_metadata(file).num_rows

    yield work


WAYS = {way.__name__: way for way in (lake, pyarrow_writer, duckdb_postgres)}

if __name__ == "__main__":
    rounds.work(WAYS)
