"""Writes the snapshots from Spark's tables: the same files under the same keys as `pipelines.snapshots.write`.

Belongs here: which rows go to which file, and putting them in tasks. Not: columns, keys and the files' form
(snapshots), the tables (sql/spark).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as sf
from pyspark.sql.pandas.types import from_arrow_schema

from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.files import Snapshot
from pipelines.snapshots.schemas import EVENTS, SCHEMAS
from pipelines.spark.stretches import check, settings

# A file that was written, as a task tells the driver.
_WRITTEN: list[tuple[str, pa.DataType]] = [
    ("table", pa.string()), ("day", pa.date32()), ("key", pa.string()), ("rows", pa.int64()), ("bytes", pa.int64()),
    ("revision", pa.string()), ("received_to", pa.string()),
]  # fmt: skip
WRITTEN = pa.schema(_WRITTEN)
# As `pipelines.snapshots.write` has them: rows that are read together stand together.
ORDER = {
    EVENTS: ("hour", "group_jid", "received_at", "event_id"),
    "whatsapp_groups": ("external_jid",),
    "whatsapp_participants": ("external_jid",),
    "whatsapp_participant_jids": ("jid",),
}
Write = Callable[[tuple[Any, ...], Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]


@dataclass(frozen=True)
class Moment:
    """The moment that the snapshots show, what names it, and of when the list of erasures is by which it was read."""

    state_at: datetime
    revision: str
    erasures: datetime | None

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata of each file."""
        return {"state_at": self.state_at.isoformat(), "revision": self.revision}


def publish(tables: Mapping[str, DataFrame], moment: Moment) -> list[Snapshot]:
    """Write every date's events, and the state of all else under the moment's date.

    A table without a row has a file of the moment's date all the same.
    """
    today = moment.state_at.date()
    published: list[Snapshot] = []
    for table in SCHEMAS:
        written = [Snapshot(**row.asDict()) for row in files(table, tables[table], moment).collect()]
        if today not in {each.day for each in written}:
            written.append(_put(table, today, iter(()), moment))
        published += sorted(written, key=lambda each: each.day)
    return published


def files(table: str, rows: DataFrame, moment: Moment) -> DataFrame:
    """Return the files that tasks put, one for each date; a date's rows come to one task, batch by batch.

    They come in order because Spark finds them sorted as it wants a group's rows, by its key with nulls first. Else it
    sorts once more, by the key alone, and that keeps no order; nor would it see a constant as sorted.
    """
    if table == EVENTS:
        day, hour = sf.to_date("received_at"), sf.hour("received_at")
    else:
        day, hour = sf.when(sf.col(ORDER[table][0]) >= "", sf.lit(moment.state_at.date())), sf.lit(0)
    tasks = rows.sparkSession.sparkContext.defaultParallelism
    order = [sf.col("day").asc_nulls_first(), *(sf.col(name).asc_nulls_last() for name in ORDER[table])]
    return (
        rows.select(*SCHEMAS[table].names, day.alias("day"), hour.alias("hour"))
        .repartition(tasks, "day")
        .sortWithinPartitions(*order)
        .groupBy("day")
        .applyInArrow(_writer(table, moment), from_arrow_schema(WRITTEN))
    )


def _writer(table: str, moment: Moment) -> Write:
    def write(key: tuple[Any, ...], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist([asdict(_put(table, key[0].as_py(), batches, moment))], WRITTEN)

    return write


def _put(table: str, day: date, batches: Iterator[pa.RecordBatch], moment: Moment) -> Snapshot:
    check(moment.erasures)
    schema = SCHEMAS[table]
    columns = (batch.select(schema.names) for batch in batches)
    return SnapshotStore(settings()).write(table, day, schema, columns, moment.metadata)
