"""Rows in the format of Postgres' binary COPY, which costs both sides less than text: several times less in Python.

Belongs here: how a value of each type is written. Not: which columns a table has (events, observations). The format:
PostgreSQL's documentation of COPY, "Binary Format"; the types: their receive functions.
"""

import struct
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

from psycopg import sql

from pipelines.db.connection import Connection
from pipelines.db.queries import filled, names

NULL = b"\xff\xff\xff\xff"
_BEGIN, _END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_EPOCH, _MICROSECOND = datetime(2000, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_COUNT, _LENGTH, _TIME = struct.Struct(">h"), struct.Struct(">i"), struct.Struct(">iq")
_ROWS_A_WRITE = 2000


def field(content: bytes) -> bytes:
    """Write what is bytes already: bytea, or text in UTF-8."""
    return _LENGTH.pack(len(content)) + content


def text(value: str | None) -> bytes:
    """Write text."""
    return NULL if value is None else _LENGTH.pack(len(content := value.encode())) + content


def jsonb(value: bytes | None) -> bytes:
    """Write jsonb from its text, which Postgres parses."""
    return NULL if value is None else _LENGTH.pack(len(value) + 1) + b"\1" + value


def timestamptz(moment: datetime | None) -> bytes:
    """Write a point in time."""
    return NULL if moment is None else _TIME.pack(8, microseconds(moment))


def uuid(value: str | None) -> bytes:
    """Write a uuid from its 36 characters."""
    return NULL if value is None else b"\0\0\0\x10" + uuid_bytes(value)


def microseconds(moment: datetime) -> int:
    """Return a point in time as Postgres counts it: microseconds since 2000."""
    return (moment - _EPOCH) // _MICROSECOND


def uuid_bytes(value: str) -> bytes:
    """Return the 16 bytes of a uuid of 36 characters."""
    return bytes.fromhex(value.replace("-", ""))


def fixed_fields(formats: Iterable[str]) -> struct.Struct:
    """Return what packs the beginning of a row at once: the number of its columns, then lengths and values in turn."""
    return struct.Struct(">h" + "".join(f"i{each}" for each in formats))


def row(*fields: bytes) -> bytes:
    """Write a row of written values."""
    return _COUNT.pack(len(fields)) + b"".join(fields)


def copy(conn: Connection, table: str, columns: Iterable[str], rows: Iterator[bytes]) -> None:
    """Copy written rows into these columns of a table."""
    statement = filled("load/copy", table=sql.Identifier(table), columns=names(columns))
    with conn.cursor() as cursor, cursor.copy(statement) as copying:
        copying.write(_BEGIN)
        while block := b"".join(islice(rows, _ROWS_A_WRITE)):
            copying.write(block)
        copying.write(_END)
