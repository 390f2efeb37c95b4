"""Postgres' tables and snapshots beside Spark's, value by value: ids aside, payloads as JSON.

Belongs here: reading both, and naming what differs. Not: making them (scale).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import zip_longest
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from pipelines.db.connection import Connection
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.schemas import SCHEMAS

JSON_COLUMN = "payload"
# Each table's rows as both have them: what names a row, and the other columns. An id stands for whom it names.
KEYS = {
    "whatsapp_groups": ("external_jid",),
    "whatsapp_participants": ("external_jid",),
    "whatsapp_participant_jids": ("jid",),
    "whatsapp_jid_pairs": ("lid_jid", "phone_jid"),
    "whatsapp_events": ("event_id",),
    "whatsapp_event_revisions": ("event_id", "body_sha256"),
}
NAMED_BY = {"group_id": "whatsapp_groups", "participant_id": "whatsapp_participants"}
Rows = Iterable[Mapping[str, Any]]
Names = Mapping[str, Mapping[str, str]]


class Difference(NamedTuple):
    """Where two sides differ: a table or file, the row, and its columns, or the side that lacks the row."""

    where: str
    row: str
    what: str


def differing(where: str, ours: Mapping[Any, Mapping[str, bytes]], theirs: Mapping[Any, Mapping[str, bytes]]) -> Iterator[Difference]:
    """Yield where the rows of two sides differ: each by what names it, with digests of its columns."""
    for key in {**ours, **theirs}:
        if key not in ours or key not in theirs:
            yield Difference(where, str(key), "only in " + ("the first" if key in ours else "the second"))
        elif ours[key] != theirs[key]:
            columns = {*ours[key], *theirs[key]}
            yield Difference(where, str(key), ", ".join(sorted(name for name in columns if ours[key].get(name) != theirs[key].get(name))))


def digested(rows: Rows, key: tuple[str, ...], names: Names) -> dict[Any, dict[str, bytes]]:
    """Return rows by what names them, each column as a digest; an id by what its row is called on this side."""
    return {
        tuple(str(plain(row[name])) for name in key): {
            name: _digest(_value(name, value, names)) for name, value in row.items() if name != "id"
        }
        for row in rows
    }


def _value(name: str, value: Any, names: Names) -> Any:
    if name == JSON_COLUMN and value is not None:
        return plain(json.loads(value, parse_float=Decimal, parse_int=Decimal, parse_constant=Decimal))
    if name in NAMED_BY and value is not None:
        return names[NAMED_BY[name]].get(str(value), "nobody")
    return plain(value)


def plain(value: Any) -> Any:
    """Return a value in the form that is the same for both sides, whatever types their clients give."""
    match value:
        case dict():
            return sorted((name, plain(each)) for name, each in value.items())
        case list():
            return [plain(each) for each in value]
        case Decimal():
            sign, digits, exponent = value.as_tuple()
            text = "".join(map(str, digits)).lstrip("0")
            kept = text.rstrip("0")
            return ("number", sign if kept else 0, kept, int(exponent) + len(text) - len(kept) if kept else 0)
        case datetime():
            return value.timestamp(), value.microsecond
        case bytes() | memoryview():
            return bytes(value).hex()
        case bool() | int() | None:
            return value
    return str(value)


def _digest(value: Any) -> bytes:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).digest()[:12]


class Postgres:
    """The tables as loads have made them."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.names = {
            table: dict(conn.execute(f"select id::text, external_jid from {table}".encode()).fetchall())
            for table in set(NAMED_BY.values())
        }

    def rows(self, table: str, columns: Iterable[str]) -> Rows:
        """Yield a table's rows, of some columns."""
        chosen = [f"{name}::text" if name == JSON_COLUMN else name for name in columns if name != "group_jid"]
        with self._conn.transaction(), self._conn.cursor("rows") as cursor:
            cursor.execute(f"select {', '.join(chosen)} from {table}".encode())
            for row in cursor:
                yield dict(zip((name.removesuffix("::text") for name in chosen), row, strict=True))


class Spark:
    """The tables as the job has written them below a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.names = {
            table: {row["id"]: row["external_jid"] for row in self.rows(table, ["id", "external_jid"])}
            for table in set(NAMED_BY.values())
        }

    def columns(self, table: str) -> list[str]:
        """Return a table's columns."""
        return list(ds.dataset(f"{self._folder}/{table}", format="parquet").schema.names)

    def rows(self, table: str, columns: Iterable[str]) -> Rows:
        """Yield a table's rows, of some columns."""
        kept = [name for name in columns if name != "group_jid"]
        for batch in ds.dataset(f"{self._folder}/{table}", format="parquet").to_batches(columns=kept, batch_size=1000):
            yield from batch.to_pylist()


def compare_tables(conn: Connection, folder: str) -> Iterator[tuple[str, int, list[Difference]]]:
    """Yield of each table how many rows Postgres has, and what differs."""
    postgres, spark = Postgres(conn), Spark(folder)
    for table, key in KEYS.items():
        columns = spark.columns(table)
        ours = digested(postgres.rows(table, columns), key, postgres.names)
        theirs = digested(spark.rows(table, columns), key, spark.names)
        yield table, len(ours), list(differing(table, ours, theirs))


def compare_snapshots(ours: SnapshotStore, theirs: SnapshotStore) -> Iterator[tuple[str, int, list[Difference]]]:
    """Yield of each file how many rows Postgres' has, and what differs: rows, their order, columns, types, metadata."""
    names = [_names(each) for each in (ours, theirs)]
    for table, schema in SCHEMAS.items():
        for day in sorted({*ours.dates(table), *theirs.dates(table)}):
            key = KEYS[table]
            files = [_read(store, table, day) for store in (ours, theirs)]
            if None in files:
                yield f"{table} {day}", 0, [Difference(f"{table} {day}", "", "no file on one side")]
                continue
            one, other = (each for each in files if each is not None)
            rows = [digested(each.to_pylist(), key, of) for each, of in zip((one, other), names, strict=True)]
            found = list(differing(f"{table} {day}", *rows))
            if list(rows[0]) != list(rows[1]):
                at = next(n for n, pair in enumerate(zip_longest(*rows)) if pair[0] != pair[1])
                found.append(Difference(f"{table} {day}", f"row {at}", "order"))
            found += [
                Difference(f"{table} {day}", "", what)
                for what, a, b in (
                    ("schema", one.schema.remove_metadata(), other.schema.remove_metadata()),
                    ("columns' metadata", _meanings(one.schema), _meanings(other.schema)),
                    ("metadata", set(one.schema.metadata or ()), set(other.schema.metadata or ())),
                )
                if a != b
            ]
            assert one.schema.remove_metadata().names == schema.names
            yield f"{table} {day}", len(rows[0]), found


def _names(store: SnapshotStore) -> dict[str, dict[str, str]]:
    found = {}
    for table in set(NAMED_BY.values()):
        [day] = store.dates(table)
        file = _read(store, table, day)
        found[table] = {row["id"]: row["external_jid"] for row in file.to_pylist()} if file else {}
    return found


def _read(store: SnapshotStore, table: str, day: str) -> pa.Table | None:
    from datetime import date

    with store.open(table, date.fromisoformat(day)) as opened:
        return opened[1].read() if opened else None


def _meanings(schema: pa.Schema) -> list[Any]:
    return [schema.field(name).metadata for name in schema.names]
