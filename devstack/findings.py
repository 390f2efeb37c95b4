"""What the demo finds in tables and snapshots, and whether it adds up.

Belongs here: counting, comparing, wording the summary. Not: running anything (demo.py).
"""

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow.parquet as pq
from psycopg import sql

from devstack.seaweed import REGION
from devstack.stack import LAKE_DATABASE, SNAPSHOT_BUCKET, Stack
from pipelines.snapshots import EVENTS, snapshot_key, today

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

STATE_TABLES = ("whatsapp_groups", "whatsapp_participants", "whatsapp_participant_jids")
_SAMPLE_BY_TYPE = """
    select type, count(*) from whatsapp_events where event_id = any(%s::uuid[]) group by type order by 2 desc, 1
"""
_DATES_OF_SAMPLE = """
    select (received_at at time zone 'UTC')::date, count(*) from whatsapp_events
    group by 1 having bool_or(event_id = any(%s::uuid[])) order by 1
"""
_ROWS = sql.SQL("select count(*) from {}")
_QUARANTINED = sql.SQL("select count(*) from quarantined_events where state = 'open'")


@dataclass(frozen=True)
class Findings:
    """How the sample was answered, and what there is now.

    `by_type` counts the sample's events in the table, `rows` every row of the tables that hold people and groups.
    `snapshots` gives the rows of each file that the demo looked at, beside what the table has for it.
    """

    answers: Counter[str]
    event_ids: int
    by_type: dict[str, int]
    rows: dict[str, int]
    quarantined: int
    snapshots: dict[str, tuple[int | None, int]]
    newest_date: date

    def discrepancies(self) -> list[str]:
        """Return what doesn't add up, one sentence each."""
        loaded, refused = sum(self.by_type.values()), self.answers.keys() - {"accepted", "duplicate"}
        wrong = [f"{self.answers[answer]} requests were answered {answer}" for answer in sorted(refused)]
        if loaded != self.event_ids:
            wrong.append(f"{self.event_ids} different events were sent, and {loaded} of them are in {EVENTS}")
        for key, (there, expected) in self.snapshots.items():
            if there != expected:
                wrong.append(f"{key} has {'no' if there is None else there} rows, and its table {expected}")
        return wrong

    def lines(self) -> Iterator[str]:
        """Yield the summary."""
        answers = ", ".join(f"{count} {answer}" for answer, count in sorted(self.answers.items()))
        yield f"sent                       {self.answers.total()} ({answers}), {self.event_ids} different events"
        yield f"in {EVENTS}         {sum(self.by_type.values())} of them"
        yield from (f"  {name:<24} {count}" for name, count in self.by_type.items())
        yield from (f"{table:<26} {count}" for table, count in self.rows.items())
        yield f"{'quarantined':<26} {self.quarantined}"
        yield from (f"s3://{SNAPSHOT_BUCKET}/{key}: {there} rows" for key, (there, _) in self.snapshots.items())
        yield from (f"WRONG: {sentence}" for sentence in self.discrepancies())
        if not self.discrepancies():
            yield "The counts add up."


def look(stack: Stack, answers: Counter[str], event_ids: Sequence[str]) -> Findings:
    """Count what became of the sample's events."""
    ids = [list(event_ids)]
    with psycopg.connect(stack.postgres.url(LAKE_DATABASE)) as connection:
        by_type: dict[str, int] = dict(connection.execute(_SAMPLE_BY_TYPE, ids).fetchall())
        by_date: dict[date, int] = dict(connection.execute(_DATES_OF_SAMPLE, ids).fetchall())
        rows = {table: _count(connection, _ROWS.format(sql.Identifier(table))) for table in STATE_TABLES}
        quarantined = _count(connection, _QUARANTINED)
    expected = {snapshot_key(EVENTS, day): count for day, count in by_date.items()}
    expected |= {snapshot_key(table, today()): count for table, count in rows.items()}
    client = stack.seaweed.client()
    snapshots = {key: (_rows_in(client, key), count) for key, count in expected.items()}
    client.close()
    newest_date = max(by_date, default=today())
    return Findings(answers, len(event_ids), by_type, rows, quarantined, snapshots, newest_date)


def notebook_line(stack: Stack, day: date) -> str:
    """Return one line of Python that reads a date's events, wherever it is pasted."""
    file = f"{SNAPSHOT_BUCKET}/{snapshot_key(EVENTS, day)}"
    store = f'endpoint_override="{stack.seaweed.endpoint}", region="{REGION}"'
    keys = f'access_key="{stack.seaweed.access_key}", secret_key="{stack.seaweed.secret_key}"'
    return (
        "import pandas, pyarrow.fs; "
        f'pandas.read_parquet("{file}", partitioning=None, filesystem=pyarrow.fs.S3FileSystem({store}, {keys}))'
    )


def _count(connection: psycopg.Connection[Any], query: sql.SQL | sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _rows_in(client: "S3Client", key: str) -> int | None:
    """Return the rows of a snapshot, None if it isn't there."""
    try:
        file = client.get_object(Bucket=SNAPSHOT_BUCKET, Key=key)["Body"].read()
    except client.exceptions.NoSuchKey:
        return None
    return int(pq.read_metadata(io.BytesIO(file)).num_rows)
