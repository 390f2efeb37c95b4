"""The whole job: what the landing zone shows, read once, folded into the six tables, and written as snapshots.

Belongs here: the order of things, and what holds for all of it. Not: a session's place in a cluster, which whoever
submits the job decides (docs/scale.md).
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import uuid_utils
from pyspark.sql import DataFrame, SparkSession

from pipelines.db.queries import query, steps
from pipelines.landing.zone import LandingZone
from pipelines.redaction.erasures import ErasureList
from pipelines.snapshots.files import Snapshot
from pipelines.snapshots.schemas import SCHEMAS
from pipelines.spark.publish import Moment, publish
from pipelines.spark.source import LandingSource
from pipelines.spark.stretches import STRETCH_BYTES, settings

TABLES = (*SCHEMAS, "whatsapp_jid_pairs", "whatsapp_event_revisions")
# What the tables' values depend on, and a task's memory, where payloads are long; all else is the cluster's.
SESSION = {
    "spark.sql.execution.arrow.maxBytesPerBatch": "64m",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",  # else INT96, which has no time zone
}


@dataclass(frozen=True)
class Done:
    """A job's end: how many landed lines were read or put aside, by reason, and the files that were written."""

    counts: list[dict[str, Any]]
    files: list[Snapshot]

    def __str__(self) -> str:
        lines = {each["reason"] or each["shows"]: each["lines"] for each in self.counts}
        doubtful = sum(each["doubtful"] for each in self.counts)
        read = f"{lines.pop('line', 0)} lines read, {doubtful} of them doubtful: Postgres wasn't asked about these"
        aside = "".join(f"\n{number} put aside: {reason}" for reason, number in lines.items())
        rows = "".join(f"\n{each.rows} rows: {each.key}" for each in self.files)
        return read + aside + rows


def run(spark: SparkSession, tables: str | None = None, stretch_bytes: int = STRETCH_BYTES) -> Done:
    """Make the tables and write their snapshots; the tables themselves too, as Parquet in folders below `tables`."""
    for name, value in SESSION.items():
        spark.conf.set(name, value)
    spark.dataSource.register(LandingSource)
    erasures = ErasureList(LandingZone(settings())).listed().revision
    moment = Moment(datetime.now(UTC), str(uuid_utils.uuid7()), erasures)
    shown = (
        spark.read.format("wpp-landing")
        .option("bytes", stretch_bytes)
        .option("erasures", erasures.isoformat() if erasures else "")
        .load()
        .persist()
    )
    shown.createOrReplaceTempView("shown")
    for step in steps("spark"):
        spark.sql(query(step).decode())
    counts = [row.asDict() for row in spark.sql(query("spark/counts").decode()).collect()]
    files = publish({name: _table(spark, name, tables) for name in TABLES}, moment)
    shown.unpersist()
    return Done(counts, files)


def _table(spark: SparkSession, name: str, tables: str | None) -> DataFrame:
    """Return a table; one that is written is read back, so that it is folded once."""
    table = spark.table(name)
    if tables is None:
        return table
    table.write.mode("overwrite").parquet(f"{tables}/{name}")
    return spark.read.parquet(f"{tables}/{name}")
