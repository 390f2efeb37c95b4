"""Postgres' tables and snapshots beside Spark's, value by value: ids aside, payloads as JSON.

Belongs here: reading both, and naming what differs. Not: making them (scale).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.dataset as ds
from psycopg import sql

from pipelines.db.connection import Connection
from pipelines.snapshots.bucket import SnapshotStore

JSON_COLUMN = "payload"
AS_TEXT = {JSON_COLUMN, "id"}
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
Place = tuple[Any, Any]  # a landing file's key, and the number of a line


class Difference(NamedTuple):
    """Where two sides differ: a table or file, the row, and its columns, or the side that lacks the row."""

    where: str
    row: str
    what: str


Compared = tuple[str, int, list[Difference]]


def differing(
    where: str, ours: Mapping[Any, Mapping[str, bytes]], theirs: Mapping[Any, Mapping[str, bytes]]
) -> Iterator[Difference]:
    """Yield where the rows of two sides differ: each by what names it, with digests of its columns."""
    for key in {**ours, **theirs}:
        if key not in ours or key not in theirs:
            yield Difference(where, str(key), "only in " + ("the first" if key in ours else "the second"))
        elif ours[key] != theirs[key]:
            columns = {*ours[key], *theirs[key]}
            yield Difference(
                where,
                str(key),
                ", ".join(sorted(name for name in columns if ours[key].get(name) != theirs[key].get(name))),
            )


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
    return value if isinstance(value, bool | int | None) else str(value)


def _digest(value: Any) -> bytes:
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).digest()[:12]


class Postgres:
    """The tables as loads have made them."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn
        self.names = {
            table: {row["id"]: row["external_jid"] for row in self.rows(table, ["id", "external_jid"])}
            for table in set(NAMED_BY.values())
        }

    def rows(self, table: str, columns: Iterable[str]) -> Rows:
        """Yield a table's rows, of some columns."""
        kept = [name for name in columns if name != "group_jid"]
        as_text = [sql.SQL("{}::text" if name in AS_TEXT else "{}").format(sql.Identifier(name)) for name in kept]
        question = sql.SQL("select {} from {}").format(sql.SQL(", ").join(as_text), sql.Identifier(table))
        with self._conn.transaction(), self._conn.cursor("rows") as cursor:
            cursor.execute(question)
            for row in cursor:
                yield dict(zip(kept, row, strict=True))


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


def refused(conn: Connection) -> set[Place]:
    """Return the places of lines that Postgres refused: Spark can't ask it, and counts them as doubtful."""
    found = conn.execute("select landing_key, line_number from quarantined_events where reason = 'refused_by_postgres'")
    return set(found.fetchall())


def compare_table(conn: Connection, folder: str, table: str) -> tuple[int, list[Difference]]:
    """Return how many rows Postgres has of a table, and what differs."""
    postgres, spark = Postgres(conn), Spark(folder)
    columns, key = spark.columns(table), KEYS[table]
    ours = digested(postgres.rows(table, columns), key, postgres.names)
    theirs = digested(_without(spark.rows(table, columns), refused(conn)), key, spark.names)
    return len(ours), list(differing(table, ours, theirs))


def compare_snapshots(ours: SnapshotStore, theirs: SnapshotStore, left_out: set[Place]) -> Iterator[Compared]:
    """Yield of each file how many rows Postgres' has, and what differs: rows, their order, columns, types, metadata."""
    names = [_names(each) for each in (ours, theirs)]
    for table, key in KEYS.items():
        for day in sorted({*ours.dates(table), *theirs.dates(table)}):
            where, files = f"{table} {day}", [_read(store, table, day) for store in (ours, theirs)]
            rows = [
                digested(_without(file.to_pylist(), left_out), key, of) if file else {}
                for file, of in zip(files, names, strict=True)
            ]
            found = list(differing(where, *rows))
            if list(rows[0]) != list(rows[1]):
                found.append(Difference(where, "rows", "in another order"))
            if _form(files[0]) != _form(files[1]):
                found.append(Difference(where, "file", "other metadata, columns or types"))
            yield where, len(rows[0]), found


def _form(file: pa.Table | None) -> Any:
    """Return what a reader sees of a file beside its rows: columns, types, meanings, the names of its metadata."""
    if file is None:
        return None
    columns = [(field.name, field.type, field.nullable, _described(field)) for field in file.schema]
    return columns, set(file.schema.metadata or ())


def _described(field: "pa.Field[Any]") -> dict[bytes, bytes]:
    return {name: text for name, text in (field.metadata or {}).items() if not name.startswith(b"PARQUET:")}


def _without(rows: Rows, left_out: set[Place]) -> Rows:
    return (row for row in rows if (row.get("landing_key"), row.get("landing_line")) not in left_out)


def _names(store: SnapshotStore) -> dict[str, dict[str, str]]:
    found = {}
    for table in set(NAMED_BY.values()):
        [day] = store.dates(table)
        file = _read(store, table, day)
        found[table] = {row["id"]: row["external_jid"] for row in file.to_pylist()} if file else {}
    return found


def _read(store: SnapshotStore, table: str, day: str) -> pa.Table | None:
    with store.open(table, date.fromisoformat(day)) as opened:
        return opened[1].read() if opened else None
