"""Writes the daily Parquet snapshots: one whole file a table and date, put at once.

Belongs here: which files to write, from which moment, and how. Not: their columns (schemas, sql/snapshots).
"""

import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from typing import IO, Any

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from psycopg import sql

from pipelines import s3
from pipelines.queries import Connection, query
from pipelines.schemas import SCHEMA_VERSION, SCHEMAS
from pipelines.settings import LakeSettings
from pipelines.snapshot_files import Snapshot, known_revisions, note, writing

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
            size = file.tell()
            file.seek(0)
            self.put(key, file, shown)
        return Snapshot(table, day, key, int(shown["row_count"]), size, shown["revision"])

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

    def find(self, table: str, day: date) -> Snapshot | None:
        """Return the table's snapshot of a date as its file says of itself, None without one."""
        key = snapshot_key(table, day)
        try:
            head = self._client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004  not found
                return None
            raise
        shown = head["Metadata"]
        rows, revision = int(shown.get("row_count", 0)), shown.get("revision", "unknown")
        return Snapshot(table, day, key, rows, head["ContentLength"], revision)

    def sizes(self, table: str) -> dict[str, int]:
        """Return the dates that the table has a snapshot of, as YYYY-MM-DD, in their order, each with its bytes."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{table}/date=")
        sizes = {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", ())}
        days = sorted({key.split("/")[1].removeprefix("date=") for key in sizes})
        keys = {day: snapshot_key(table, date.fromisoformat(day)) for day in days if _is_date(day)}
        return {day: sizes[key] for day, key in keys.items() if key in sizes}

    def dates(self, table: str) -> list[str]:
        """Return the dates that the table has a snapshot of, as YYYY-MM-DD, in their order."""
        return list(self.sizes(table))

    def newest(self, table: str) -> str | None:
        """Return the newest date that the table has a snapshot of, as YYYY-MM-DD."""
        return max(self.dates(table), default=None)


def stale_dates(conn: Connection) -> list[date]:
    """Return the UTC dates of which a snapshot is missing or shows what has changed since, today among them.

    As the database knows it: `forget_missing` compares that with the bucket.
    """
    of_state = [table for table in SCHEMAS if table != EVENTS]
    wanted = {"of_events": [EVENTS, FIELDS], "of_state": of_state, "first": FIRST_DATE, "today": today()}
    return [day for (day,) in conn.execute(query("snapshots/stale_dates"), wanted)]


def forget_missing(conn: Connection, store: SnapshotStore) -> list[str]:
    """Forget the noted files that the bucket doesn't have as they were noted, whose dates are stale then; name them.

    It lists the whole snapshot bucket. A file that is being written meanwhile may be forgotten: it is found again.
    """
    sizes = {table: store.sizes(table) for table in (*SCHEMAS, FIELDS)}
    forgotten = []
    for table, day, size in conn.execute(query("snapshots/files")).fetchall():
        if sizes.get(table, {}).get(str(day)) != size:
            conn.execute(query("snapshots/forget"), {"table": table, "date": day, "bytes": size})
            forgotten.append(snapshot_key(table, day))
    return forgotten


def write_snapshots(
    settings: LakeSettings, store: SnapshotStore, day: date, *, only_stale: bool = False
) -> Iterator[Snapshot]:
    """Write a UTC date's snapshots, or the stale ones, all from one moment, and yield each as it is there."""
    with writing(settings, day) as ledger, adbc.connect(settings.conninfo) as conn, conn.cursor() as cursor:
        known = current_revisions(ledger, store, day) if only_stale else {}
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute(_filled("snapshots/moment", date=day))
        moment = cursor.fetchone()
        state_at, revisions = moment[0].astimezone(UTC).isoformat(), _revisions(day, moment)
        for table, revision in revisions.items():
            if known.get(table) != revision:
                metadata = {"state_at": state_at, "revision": revision}
                file = store.write(table, day, SCHEMAS[table], _batches(cursor, table, day), metadata)
                note(ledger, file)
                yield file


def _revisions(day: date, moment: Sequence[Any]) -> dict[str, str]:
    """Return the tables that a date's snapshot has, each with its revision at the moment."""
    _, of_events, of_state = moment
    return {table: of_events if table == EVENTS else of_state for table in tables_of(day)}


def current_revisions(ledger: Connection, store: SnapshotStore, day: date) -> dict[str, str]:
    """Return the revision that each file of a date shows; a file that wasn't noted is asked itself, and noted."""
    known = known_revisions(ledger, day)
    for table in {*tables_of(day), FIELDS} - known.keys():
        if file := store.find(table, day):
            note(ledger, file)
            known[table] = file.revision
    return known


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
