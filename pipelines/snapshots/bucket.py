"""The snapshot bucket: one file per table and date, put in one step.

Belongs here: keys, putting, getting, listing. Not: which files are stale (stale), what is in them (write).
"""

import io
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from pipelines import object_store
from pipelines.settings import LakeSettings
from pipelines.snapshots.files import Snapshot
from pipelines.snapshots.parquet import write_parquet
from pipelines.snapshots.schemas import SCHEMA_VERSION

MOST_IN_ONE_PUT = 5 << 30  # bytes; S3 takes more only in parts, and those of a killed writer stay


def snapshot_key(table: str, day: date) -> str:
    """Return the key of a table's snapshot of a UTC date."""
    return f"{table}/date={day:%Y-%m-%d}/{table}.parquet"


def _is_missing(error: ClientError) -> bool:
    return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 404)  # noqa: PLR2004  not found


def _is_date(text: str) -> bool:
    try:
        return str(date.fromisoformat(text)) == text
    except ValueError:
        return False


class SnapshotStore:
    """The snapshot bucket."""

    def __init__(self, settings: LakeSettings) -> None:
        self.bucket = settings.snapshot_bucket
        self.client = object_store.client(settings)

    def write(
        self, table: str, day: date, schema: pa.Schema, batches: Iterable[pa.RecordBatch], metadata: Mapping[str, str]
    ) -> Snapshot:
        """Write a table's file of a date, with this metadata and what the rows add to it."""
        key, created_at = snapshot_key(table, day), datetime.now(UTC).isoformat()
        shown = {"schema_version": SCHEMA_VERSION, "created_at": created_at, **metadata}
        with tempfile.TemporaryFile() as file:
            shown |= write_parquet(file, schema, batches, shown)
            size = file.tell()
            file.seek(0)
            self.put(key, file, shown)
        return Snapshot(table, day, key, int(shown["row_count"]), size, shown["revision"], shown.get("received_to"))

    def uri(self, key: str) -> str:
        """Return the address of a key."""
        return f"s3://{self.bucket}/{key}"

    def put(self, key: str, file: IO[bytes], metadata: dict[str, str]) -> None:
        """Put a file in one step: a reader sees the old one or the new one, and a killed writer leaves nothing."""
        one_put = TransferConfig(multipart_threshold=MOST_IN_ONE_PUT + 1)
        self.client.upload_fileobj(file, self.bucket, key, ExtraArgs={"Metadata": metadata}, Config=one_put)

    def get(self, key: str, file: IO[bytes]) -> dict[str, str]:
        """Read a file into another one, and return its metadata."""
        found = self.client.get_object(Bucket=self.bucket, Key=key)
        shutil.copyfileobj(found["Body"], file)
        return found["Metadata"]

    def read(self, table: str, day: date, columns: list[str]) -> pa.Table:
        """Return some columns of a table's snapshot of a date."""
        with io.BytesIO() as file:
            self.get(snapshot_key(table, day), file)
            return pq.read_table(file, columns=columns)

    @contextmanager
    def open(self, table: str, day: date) -> Iterator[tuple[dict[str, str], pq.ParquetFile] | None]:
        """Give a table's snapshot of a date with its metadata, to be read piece by piece; None without one."""
        with tempfile.TemporaryFile() as file:
            try:
                metadata = self.get(snapshot_key(table, day), file)
            except ClientError as error:
                if not _is_missing(error):
                    raise
                yield None
            else:
                yield metadata, pq.ParquetFile(file)

    def find(self, table: str, day: date) -> Snapshot | None:
        """Return the table's snapshot of a date as its file says of itself, None without one."""
        key = snapshot_key(table, day)
        try:
            head = self.client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if _is_missing(error):
                return None
            raise
        shown = head["Metadata"]
        rows, revision = int(shown.get("row_count", 0)), shown.get("revision", "unknown")
        return Snapshot(table, day, key, rows, head["ContentLength"], revision, shown.get("received_to"))

    def sizes(self, table: str) -> dict[str, int]:
        """Return the dates that the table has a snapshot of, as YYYY-MM-DD, in their order, each with its bytes."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=f"{table}/date=")
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
