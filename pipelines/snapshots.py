"""Writes the daily Parquet snapshots: one whole file a table and date, put at once.

Belongs here: which files to write, from which moment, and how. Not: their columns (schemas, sql/snapshots).
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import IO, TYPE_CHECKING, Any

import adbc_driver_postgresql.dbapi as adbc
import boto3
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from botocore.config import Config
from botocore.exceptions import ClientError
from psycopg import sql

from pipelines.queries import query
from pipelines.schemas import SCHEMA_VERSION, SCHEMAS
from pipelines.settings import LakeSettings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

EVENTS = "whatsapp_events"
ZSTD_LEVEL = 3
FIRST_DATE = date(2026, 1, 1)  # nothing was collected before it


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


def tables_of(day: date) -> tuple[str, ...]:
    """Return the tables that a date's snapshot has: a past date has its events only, its state is gone."""
    return tuple(SCHEMAS) if day == today() else (EVENTS,)


class SnapshotStore:
    """The snapshot bucket."""

    def __init__(self, settings: LakeSettings) -> None:
        key, secret = settings.aws_access_key_id, settings.aws_secret_access_key
        self.bucket = settings.snapshot_bucket
        self._client: S3Client = boto3.client(
            "s3",
            endpoint_url=settings.aws_endpoint_url_s3,
            region_name=settings.aws_region,
            config=Config(connect_timeout=5, read_timeout=60, retries={"mode": "standard", "max_attempts": 3}),
            aws_access_key_id=key.get_secret_value() if key else None,
            aws_secret_access_key=secret.get_secret_value() if secret else None,
        )

    def put(self, key: str, file: IO[bytes], metadata: dict[str, str]) -> None:
        """Put a file in one step: a reader sees the old one or the new one."""
        self._client.upload_fileobj(file, self.bucket, key, ExtraArgs={"Metadata": metadata})

    def revision(self, day: date) -> str | None:
        """Return the revision of the date's events in their snapshot, None without one."""
        try:
            head = self._client.head_object(Bucket=self.bucket, Key=snapshot_key(EVENTS, day))
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:  # noqa: PLR2004  not found
                return None
            raise
        return head["Metadata"].get("revision")

    def newest(self, table: str) -> str | None:
        """Return the newest date that the table has a snapshot of, as YYYY-MM-DD."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{table}/date=")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
        return max((key.split("/")[1].removeprefix("date=") for key in keys), default=None)


def stale_dates(conn: psycopg.Connection[Any], store: SnapshotStore) -> list[date]:
    """Return the past UTC dates whose events have no snapshot, or changed since it was written."""
    days = conn.execute(query("snapshots/event_days")).fetchall()
    return [day for day, revision in days if FIRST_DATE <= day < today() and store.revision(day) != revision]


def write_snapshots(settings: LakeSettings, store: SnapshotStore, day: date) -> Iterator[Snapshot]:
    """Write a UTC date's snapshots, all from one moment, and yield each as it is there."""
    with adbc.connect(settings.conninfo) as conn, conn.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute(_dated("snapshots/moment", day))
        moment = cursor.fetchone()
        metadata = {
            "schema_version": SCHEMA_VERSION,
            "state_at": moment[0].astimezone(UTC).isoformat(),
            "revision": moment[1] or "",
            "created_at": datetime.now(UTC).isoformat(),
        }
        for table in tables_of(day):
            yield _write(cursor, store, table, day, metadata)


def _write(cursor: adbc.Cursor, store: SnapshotStore, table: str, day: date, metadata: dict[str, str]) -> Snapshot:
    cursor.execute(_dated(f"snapshots/{table}", day))
    schema = SCHEMAS[table].with_metadata(metadata)
    rows = 0
    with tempfile.TemporaryFile() as file:
        with pq.ParquetWriter(file, schema, compression="zstd", compression_level=ZSTD_LEVEL) as writer:
            for batch in cursor.fetch_record_batch():
                writer.write_table(
                    pa.Table.from_batches([batch]).cast(SCHEMAS[table]).replace_schema_metadata(metadata)
                )
                rows += batch.num_rows
        file.seek(0)
        store.put(snapshot_key(table, day), file, metadata)
    return Snapshot(table, snapshot_key(table, day), rows)


def _dated(name: str, day: date) -> str:
    return sql.SQL(query(name).decode()).format(date=sql.Literal(day)).as_string()
