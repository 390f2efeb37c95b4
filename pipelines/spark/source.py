"""The landing zone as a data source of Spark: `spark.read.format("wpp-landing")`, which needs no jar.

Belongs here: what Spark calls, on the driver and in tasks. Not: what a task reads (stretches) and gives (shown).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.types import StructType

from pipelines.landing.zone import LandingZone
from pipelines.spark.shown import SHOWN, shown
from pipelines.spark.stretches import STRETCH_BYTES, Stretch, read, settings, stretches


class LandingSource(DataSource):
    """The landing zone, listed when it is read.

    Options: `bytes` that a task reads; `erasures`, of when the list of erasures is by which all tasks must read, in ISO
    8601, or empty while there is none.
    """

    @classmethod
    def name(cls) -> str:
        """Return what `format` calls it."""
        return "wpp-landing"

    def schema(self) -> str:
        """Return the columns of its rows as DDL: an object would be compared down to its metadata."""
        return ", ".join(f"{each.name} {each.dataType.simpleString()}" for each in from_arrow_schema(SHOWN))

    def reader(self, schema: StructType) -> DataSourceReader:  # noqa: ARG002  it has one schema
        """Return what reads it."""
        return LandingReader(int(self.options.get("bytes", STRETCH_BYTES)), self.options.get("erasures", ""))


@dataclass
class StretchPartition(InputPartition):
    """A task's stretch of the landing zone: keys, sizes and etags, no line."""

    stretch: Stretch


class LandingReader(DataSourceReader):
    """Lists on the driver, reads in tasks."""

    def __init__(self, stretch_bytes: int, erasures: str) -> None:
        self._bytes, self._erasures = stretch_bytes, erasures

    def partitions(self) -> Sequence[InputPartition]:
        """Return the stretches, at least one."""
        found = [StretchPartition(each) for each in stretches(LandingZone(settings()), self._bytes)]
        return found or [StretchPartition(Stretch(()))]

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Yield what a stretch shows."""
        assert isinstance(partition, StretchPartition)  # noqa: S101  Spark gives back what `partitions` returned
        yield from shown(read(partition.stretch, datetime.fromisoformat(self._erasures) if self._erasures else None))
