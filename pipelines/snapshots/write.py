"""Writes the snapshots of a date from the tables, all of them from one moment.

Belongs here: which rows, and from which moment. Not: their columns (schemas), the files (parquet,
bucket).
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from psycopg import sql

from pipelines.db.queries import filled
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.files import Snapshot, note, writing
from pipelines.snapshots.schemas import EVENTS, SCHEMAS
from pipelines.snapshots.stale import current_revisions, tables_of

if TYPE_CHECKING:
    from adbc_driver_postgresql.dbapi import Cursor

HOURS = range(24)
BATCH_BYTES = 1 << 22


def write_snapshots(
    settings: LakeSettings,
    store: SnapshotStore,
    day: date,
    tables: Sequence[str] | None = None,
    *,
    only_stale: bool = False,
) -> Iterator[Snapshot]:
    """Write a UTC date's snapshots, or the stale ones, all from one moment, and yield each as it is there.

    `tables` are `tables_of` the date, from who has asked that already: the answer changes at midnight.
    """
    import adbc_driver_postgresql.dbapi as adbc  # noqa: PLC0415  a load has the assets too, and needs no ADBC

    tables = tables or tables_of(day)
    with writing(settings, day) as ledger, adbc.connect(settings.conninfo) as conn, conn.cursor() as cursor:
        known = current_revisions(ledger, store, day, tables) if only_stale else {}
        cursor.adbc_statement.set_options(**{"adbc.postgresql.batch_size_hint_bytes": str(BATCH_BYTES)})
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute(_filled("snapshots/moment", date=sql.Literal(day)))
        moment = cursor.fetchone()
        at, of_events, of_state = moment
        for table in tables:
            revision = of_events if table == EVENTS else of_state
            if known.get(table) != revision:
                metadata = {"state_at": at.astimezone(UTC).isoformat(), "revision": revision}
                file = store.write(table, day, SCHEMAS[table], _batches(cursor, table, day), metadata)
                note(ledger, file)
                yield file


def _batches(cursor: "Cursor", table: str, day: date) -> Iterator[pa.RecordBatch]:
    """Yield a table's rows; events hour by hour, since the database sorts hours for less than a day."""
    columns = sql.SQL(", ").join(map(_selected, SCHEMAS[table]))
    for hour in HOURS if table == EVENTS else [None]:
        cursor.execute(_filled(f"snapshots/{table}", columns=columns, date=sql.Literal(day), hour=sql.Literal(hour)))
        yield from cursor.fetch_record_batch()


def _selected(column: "pa.Field[Any]") -> sql.Composable:
    """Select a column; what is a string in Arrow may be a uuid or JSON in the table."""
    name = sql.Identifier(column.name)
    return sql.SQL("{}::text").format(name) if pa.types.is_string(column.type) else name


def _filled(name: str, **parts: sql.Composable) -> str:
    return filled(name, **parts).as_string()
