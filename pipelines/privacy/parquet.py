"""Takes those who are to be forgotten, and content that has expired, out of past states of people, groups, addresses.

Belongs here: the files that nothing else writes again. Not: the dates' events, which are written from the tables
(snapshots).
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import date
from functools import partial
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.db.connection import Connection
from pipelines.redaction.facts import of_payload
from pipelines.redaction.owners import is_subjects_address
from pipelines.redaction.subjects import Subjects
from pipelines.redaction.walker import redacted_json
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.files import note, writing
from pipelines.snapshots.schemas import EVENTS, SCHEMAS

BATCH_ROWS = 1 << 12
ADDRESSES = {"whatsapp_participants": "external_jid", "whatsapp_participant_jids": "jid"}
KEPT = ("state_at", "revision")  # of what the file says of itself
GROUPS = "whatsapp_groups"
Row = dict[str, Any]
Change = Callable[[Row], Row | None]  # what becomes of a row; None: it goes
STATES = [table for table in SCHEMAS if table != EVENTS]


def rewrite_states(settings: LakeSettings, store: SnapshotStore, subjects: Subjects, until: date) -> list[str]:
    """Write the past states anew that show a subject, those of dates up to `until`; return their keys."""
    keys: list[str] = []
    for table in STATES:
        for day in map(date.fromisoformat, store.dates(table)):
            if day <= until:
                with writing(settings, day) as ledger:
                    keys += filter(None, [_rewrite(ledger, store, table, day, partial(_without, subjects, table))])
    return keys


def strip_states(settings: LakeSettings, store: SnapshotStore, days: Iterable[date]) -> list[str]:
    """Write the past states of groups of these dates anew that show content; return the keys of all that there are."""
    keys: list[str] = []
    for day in days:
        with writing(settings, day) as ledger:
            _rewrite(ledger, store, GROUPS, day, stripped_group)
        keys.append(snapshot_key(GROUPS, day))
    return keys


def stripped_group(row: Row) -> Row:
    """Return a group's row with what describes the group without its content."""
    shown = orjson.loads(row["payload"] or "null")
    left = of_payload("groups.metadata", shown)
    return row if left == shown else {**row, "payload": orjson.dumps(left).decode()}


def _rewrite(conn: Connection, store: SnapshotStore, table: str, day: date, change: Change) -> str | None:
    with store.open(table, day) as opened:
        if opened is None:
            return None
        metadata, content = opened
        if not any(changed for _, changed in _batches(content, change)):
            return None
        schema = content.schema_arrow.remove_metadata()
        kept = {name: value for name, value in metadata.items() if name in KEPT}
        batches = (batch for batch, _ in _batches(content, change))
        file = store.write(table, day, schema, batches, kept)
    note(conn, file)
    return file.key


def _batches(content: pq.ParquetFile, change: Change) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Yield a file's rows as a change leaves them, and whether that differs."""
    for batch in content.iter_batches(BATCH_ROWS):
        rows = batch.to_pylist()
        left = [row for row in map(change, rows) if row is not None]
        yield pa.RecordBatch.from_pylist(left, schema=batch.schema), left != rows


def _without(subjects: Subjects, table: str, row: Row) -> Row | None:
    """Return a row without the subjects, None for one that is a subject's."""
    address = ADDRESSES.get(table)
    if address and is_subjects_address(subjects, row[address]):
        return None
    return {name: redacted_json(subjects, value) if isinstance(value, str) else value for name, value in row.items()}
