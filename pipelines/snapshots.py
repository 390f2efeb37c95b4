"""Writes the daily Parquet snapshots: one whole file a table and date, put at once.

Belongs here: which files to write, from which moment, and how. Not: their columns (schemas, sql/snapshots).
"""

import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import IO, Any

import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from psycopg import sql

from pipelines import s3
from pipelines.queries import query
from pipelines.schemas import SCHEMA_VERSION, SCHEMAS
from pipelines.settings import LakeSettings

EVENTS = "whatsapp_events"
FIELDS = "payload_fields"  # derived from the file of events, whose revision it has
FIRST_DATE = date(2026, 1, 1)  # nothing was collected before it
HOURS = range(24)
# A row group is what is in memory at once; an hour of a busy day has several, each with some of its groups.
ROW_GROUP_ROWS, ROW_GROUP_BYTES = 1 << 15, 1 << 26
BATCH_BYTES = 1 << 22
PAGE_BYTES = 1 << 21  # a long page compresses better, one that outgrows the processor's cache takes longer
UNLIKE = {"id", "event_id", "jid", "external_jid", "payload"}  # columns whose values seldom repeat
MOST_IN_ONE_PUT = 5 << 30  # bytes; S3 takes more only in parts, and those of a killed writer stay


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One file written: its table, key, and number of rows."""

    table: str
    key: str
    rows: int


def today() -> date:
    """Return the running UTC date."""
    return datetime.now(UTC).date()


def snapshot_key(table: str, day: date) -> str:
    """Return the key of a table's snapshot of a UTC date."""
    return f"{table}/date={day:%Y-%m-%d}/{table}.parquet"


def _is_date(text: str) -> bool:
    try:
        return str(date.fromisoformat(text)) == text
    except ValueError:
        return False


def tables_of(day: date) -> tuple[str, ...]:
    """Return the tables that a date's snapshot has: a past date has its events only, its state is gone."""
    return tuple(SCHEMAS) if day == today() else (EVENTS,)


class SnapshotStore:
    """The snapshot bucket."""

    def __init__(self, settings: LakeSettings) -> None:
        self.bucket = settings.snapshot_bucket
        self._client = s3.client(settings)

    def write(
        self, table: str, day: date, schema: pa.Schema, batches: Iterable[pa.RecordBatch], metadata: Mapping[str, str]
    ) -> Snapshot:
        """Write a table's file of a date, with this metadata and what the rows add to it."""
        key, created_at = snapshot_key(table, day), datetime.now(UTC).isoformat()
        shown = {"schema_version": SCHEMA_VERSION, "created_at": created_at, **metadata}
        with tempfile.TemporaryFile() as file:
            shown |= _write_parquet(file, schema, batches, shown)
            file.seek(0)
            self.put(key, file, shown)
        return Snapshot(table, key, int(shown["row_count"]))

    def put(self, key: str, file: IO[bytes], metadata: dict[str, str]) -> None:
        """Put a file in one step: a reader sees the old one or the new one, and a killed writer leaves nothing."""
        one_put = TransferConfig(multipart_threshold=MOST_IN_ONE_PUT + 1)
        self._client.upload_fileobj(file, self.bucket, key, ExtraArgs={"Metadata": metadata}, Config=one_put)

    def get(self, key: str, file: IO[bytes]) -> dict[str, str]:
        """Read a file into another one, and return its metadata."""
        found = self._client.get_object(Bucket=self.bucket, Key=key)
        shutil.copyfileobj(found["Body"], file)
        return found["Metadata"]

    def read(self, table: str, day: date, columns: list[str]) -> pa.Table:
        """Return some columns of a table's snapshot of a date."""
        with io.BytesIO() as file:
            self.get(snapshot_key(table, day), file)
            return pq.read_table(file, columns=columns)

    def revision(self, table: str, day: date) -> str | None:
        """Return the revision that the table's snapshot of a date shows, None without one."""
        try:
            head = self._client.head_object(Bucket=self.bucket, Key=snapshot_key(table, day))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004  not found
                return None
            raise
        return head["Metadata"].get("revision")

    def dates(self, table: str) -> list[str]:
        """Return the dates that the table has a snapshot of, as YYYY-MM-DD, in their order."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{table}/date=")
        keys = {entry["Key"] for page in pages for entry in page.get("Contents", ())}
        days = sorted({key.split("/")[1].removeprefix("date=") for key in keys})
        return [day for day in days if _is_date(day) and snapshot_key(table, date.fromisoformat(day)) in keys]

    def newest(self, table: str) -> str | None:
        """Return the newest date that the table has a snapshot of, as YYYY-MM-DD."""
        return max(self.dates(table), default=None)


def stale_dates(conn: psycopg.Connection[Any], store: SnapshotStore) -> list[date]:
    """Return the UTC dates of whose snapshots one is missing or shows what has changed since, today's among them."""
    days = conn.execute(query("snapshots/event_days")).fetchall()
    of_events = [(day, dict.fromkeys((EVENTS, FIELDS), revision)) for day, revision in days]
    past = [day for day, revisions in of_events if FIRST_DATE <= day < today() and _stale_tables(store, day, revisions)]
    moment = conn.execute(_filled("snapshots/moment", date=today()).encode()).fetchall()[0]
    revisions = _revisions(today(), moment)
    return [*past, today()] if _stale_tables(store, today(), revisions | {FIELDS: revisions[EVENTS]}) else past


def write_snapshots(
    settings: LakeSettings, store: SnapshotStore, day: date, *, only_stale: bool = False
) -> Iterator[Snapshot]:
    """Write a UTC date's snapshots, or the stale ones, all from one moment, and yield each as it is there."""
    with adbc.connect(settings.conninfo) as conn, conn.cursor() as cursor:
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute(_filled("snapshots/moment", date=day))
        moment = cursor.fetchone()
        state_at, revisions = moment[0].astimezone(UTC).isoformat(), _revisions(day, moment)
        for table in _stale_tables(store, day, revisions) if only_stale else revisions:
            metadata = {"state_at": state_at, "revision": revisions[table]}
            yield store.write(table, day, SCHEMAS[table], _batches(cursor, table, day), metadata)


def _revisions(day: date, moment: Sequence[Any]) -> dict[str, str]:
    """Return the tables that a date's snapshot has, each with its revision at the moment."""
    _, of_events, of_state = moment
    return {table: of_events if table == EVENTS else of_state for table in tables_of(day)}


def _stale_tables(store: SnapshotStore, day: date, revisions: Mapping[str, str]) -> list[str]:
    """Return the tables whose snapshot of a date isn't of this revision."""
    return [table for table, revision in revisions.items() if store.revision(table, day) != revision]


def _write_parquet(
    file: IO[bytes], schema: pa.Schema, batches: Iterable[pa.RecordBatch], metadata: Mapping[str, str]
) -> dict[str, str]:
    """Write batches as a Parquet file with this metadata, and with what the rows add to it, which is returned."""
    rows, received = 0, set[datetime]()
    with pq.ParquetWriter(file, schema.with_metadata(dict(metadata)), **options(schema)) as writer:
        for group in _read_ahead(_row_groups(batches)):
            rows += len(group)
            if "received_at" in schema.names:
                least, greatest = pc.min_max(group["received_at"]).values()
                received |= {least.as_py(), greatest.as_py()}
            writer.write_table(group.cast(schema).replace_schema_metadata(dict(metadata)), len(group))
        found = {"row_count": str(rows)}
        if received:
            found |= {"received_from": min(received).isoformat(), "received_to": max(received).isoformat()}
        writer.add_key_value_metadata(found)
    return found


def options(schema: pa.Schema) -> dict[str, Any]:
    """Return what makes a table's files small: compression, the encoding of each column, the length of pages."""
    times = {field.name for field in schema if pa.types.is_timestamp(field.type)}
    return {
        "compression": "zstd",
        "compression_level": 1,
        "data_page_size": PAGE_BYTES,
        "use_dictionary": [name for name in schema.names if name not in UNLIKE | times],
        "column_encoding": dict.fromkeys(times, "DELTA_BINARY_PACKED"),
    }


def _batches(cursor: adbc.Cursor, table: str, day: date) -> Iterator[pa.RecordBatch]:
    """Yield a table's rows; events an hour after the other, since the database sorts hours for less than a day."""
    for hour in HOURS if table == EVENTS else [None]:
        cursor.execute(_filled(f"snapshots/{table}", date=day, hour=hour))
        yield from cursor.fetch_record_batch()


def _read_ahead(groups: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Read the next row group while the last one is worked on."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, groups, None)
        while (group := coming.result()) is not None:
            coming = reader.submit(next, groups, None)
            yield group


def _row_groups(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Join batches until they have the rows, or the bytes, of a row group."""
    gathered: list[pa.RecordBatch] = []
    for batch in batches:
        gathered.append(batch)
        if sum(map(len, gathered)) >= ROW_GROUP_ROWS or sum(each.nbytes for each in gathered) >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(gathered)
            gathered = []
    if gathered:
        yield pa.Table.from_batches(gathered)


def _filled(name: str, **values: Any) -> str:
    literals = {key: sql.Literal(value) for key, value in values.items()}
    return sql.SQL(query(name).decode()).format(**literals).as_string()
