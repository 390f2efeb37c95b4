"""The snapshots as others read them: over S3, with the environment's settings and nothing of ours.

Belongs here: values, types, the date in the address, what a filter spares. Not: our own one-liners (test_notebooks).
"""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from factories import RECEIVED, event, group, line, message
from lake import Lake
from project import ROOT

from pipelines.landing.hours import today
from pipelines.snapshots import parquet
from pipelines.snapshots import write as snapshots
from pipelines.snapshots.bucket import snapshot_key
from pipelines.snapshots.schemas import SCHEMAS
from pipelines.snapshots.write import write_snapshots

DAY = RECEIVED.date()
DOCUMENT = ROOT / "docs" / "notebooks.md"

Rows = list[dict[str, Any]]
Types = dict[str, str]


def pandas_reads(folder: str) -> tuple[Types, Rows]:
    frame = pd.read_parquet(f"s3://{folder}")
    return dict(zip(frame.columns, map(str, frame.dtypes), strict=True)), pa.Table.from_pandas(frame).to_pylist()


def polars_reads(folder: str) -> tuple[Types, Rows]:
    frame = pl.scan_parquet(f"s3://{folder}/", storage_options={"aws_allow_http": "true"}).collect()
    return {name: str(kind) for name, kind in frame.schema.items()}, frame.to_dicts()


def pyarrow_reads(folder: str) -> tuple[Types, Rows]:
    table = ds.dataset(f"s3://{folder}", partitioning="hive").to_table()
    return {field.name: str(field.type) for field in table.schema}, table.to_pylist()


def duckdb_reads(folder: str, lake: Lake) -> tuple[Types, Rows]:
    found = duckdb_on(lake).sql(f"from 's3://{folder}/*/*.parquet'")
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]
    return dict(zip(found.columns, map(str, found.types), strict=True)), rows


def duckdb_on(lake: Lake) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB with its S3 extension and the store's address; the keys it finds in the environment."""
    connection = duckdb.connect()
    folder = resources.files("duckdb_extension_httpfs") / f"extensions/v{duckdb.__version__}"
    connection.load_extension(str(folder / "httpfs.duckdb_extension"))
    endpoint = str(lake.settings.aws_endpoint_url_s3).removeprefix("http://")
    connection.execute("set s3_endpoint = ?", [endpoint])
    connection.execute("set s3_url_style = 'path'; set s3_use_ssl = false; set TimeZone = 'UTC'")
    return connection


READERS: dict[str, Callable[[str, Lake], tuple[Types, Rows]]] = {
    "pyarrow": lambda folder, _: pyarrow_reads(folder),
    "pandas": lambda folder, _: pandas_reads(folder),
    "polars": lambda folder, _: polars_reads(folder),
    "duckdb": duckdb_reads,
}


def documented(reader: str) -> list[str]:
    """Return how the document says that a reader shows each type."""
    [row] = [row for row in DOCUMENT.read_text().splitlines() if row.startswith(f"| {reader} |")]
    return [cell.strip("` ") for cell in row.strip("|").split("|")[1:]]


def stored(lake: Lake, table: str) -> Rows:
    """Return the rows of every file of a table, by the files' bytes."""
    found: Rows = []
    for day in (DAY, today()) if table == "whatsapp_events" else (today(),):
        file = lake.client.get_object(Bucket=lake.settings.snapshot_bucket, Key=snapshot_key(table, day))
        rows = pq.read_table(io.BytesIO(file["Body"].read())).to_pylist()
        found += [row | {"date": str(day)} for row in rows]
    return found


def by_key(rows: Rows) -> Rows:
    """Return rows in the order of their first column, the date as text."""
    return sorted((row | {"date": str(row["date"])} for row in rows), key=lambda row: str(next(iter(row.values()))))


@pytest.fixture
def written(lake: Lake, sample: list[dict[str, Any]]) -> Lake:
    """Make a lake with snapshots of a date that has the sample's events, and of today, which has none."""
    lake.land(*(line(request["body"].encode(), number) for number, request in enumerate(sample)))
    lake.load()
    for day in (DAY, today()):
        list(write_snapshots(lake.settings, lake.snapshots, day))
    return lake


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_finds_the_documented_types_and_every_value(reader: str, written: Lake) -> None:
    text, time, integer, flag, date = documented(reader)
    shown = {pa.string(): text, pa.timestamp("us", tz="UTC"): time, pa.int32(): integer, pa.bool_(): flag}
    for table, schema in SCHEMAS.items():
        types, rows = READERS[reader](f"{written.settings.snapshot_bucket}/{table}", written)
        assert types == {field.name: shown[field.type] for field in schema} | {"date": date}
        assert by_key(rows) == by_key(stored(written, table))
    assert len(stored(written, "whatsapp_events")) == 300


@pytest.fixture
def two_days(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write two dates of 1,024 events each, in many row groups; return the address of events."""
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 64)
    monkeypatch.setattr(snapshots, "BATCH_BYTES", 1 << 13)
    for midnight in (datetime(2026, 5, 21, tzinfo=UTC), datetime(2026, 5, 22, tzinfo=UTC)):
        times = [midnight + timedelta(minutes=number * 1.4) for number in range(1024)]
        lake.land(*(line(event(message(chat=group())), time, time) for time in times), at=midnight)
        lake.load(midnight)
        list(write_snapshots(lake.settings, lake.snapshots, midnight.date()))
    return f"s3://{lake.settings.snapshot_bucket}/whatsapp_events"


def test_duckdb_reads_the_file_of_the_date_alone_and_filters_while_it_reads(lake: Lake, two_days: str) -> None:
    asked = (
        "explain (analyze, format json) select max(length(payload)) "  # noqa: S608  the address is the test's own
        f"from '{two_days}/*/*.parquet' where date = '2026-05-21' and received_at < '2026-05-21 00:10:00Z'"
    )
    [(_, plan)] = duckdb_on(lake).execute(asked).fetchall()
    scan = json.loads(plan)
    while scan["children"]:
        [scan] = scan["children"]
    told = scan["extra_info"]
    assert (told["Scanning Files"], scan["operator_cardinality"]) == ("1/2", 8)
    assert told["Filters"].startswith("received_at<'2026-05-21 00:10:00+00'")


def test_polars_reads_the_file_of_the_date_alone(two_days: str) -> None:
    frame = pl.scan_parquet(f"{two_days}/", storage_options={"aws_allow_http": "true"})
    plan = frame.filter(pl.col("date") == DAY).explain()
    assert f"Parquet SCAN [{two_days}/date=2026-05-21/whatsapp_events.parquet]" in plan


def test_pyarrow_reads_the_row_groups_alone_that_may_have_the_time(two_days: str) -> None:
    dataset = ds.dataset(two_days, partitioning="hive")
    [file] = dataset.get_fragments(filter=pc.field("date") == "2026-05-21")
    evening = pc.field("received_at") >= datetime(2026, 5, 21, 23, tzinfo=UTC)
    assert isinstance(file, ds.ParquetFileFragment)
    assert file.num_row_groups >= 12
    assert len(file.split_by_row_group(filter=evening)) <= 2


def test_pandas_takes_the_same_filters(two_days: str) -> None:
    evening = [("date", "==", "2026-05-21"), ("received_at", ">=", datetime(2026, 5, 21, 23, tzinfo=UTC))]
    frame = pd.read_parquet(two_days, filters=evening, columns=["received_at"])
    assert (len(frame), frame["received_at"].min()) == (38, pd.Timestamp("2026-05-21T23:00:24Z"))
