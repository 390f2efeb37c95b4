"""Takes those who are to be forgotten out of the Parquet files: past states of people, groups and addresses.

Belongs here: the files that nothing else writes again. Not: the dates' events, which are written from the tables
(snapshots).
"""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.db.connection import Connection
from pipelines.redaction.owners import is_subjects_address
from pipelines.redaction.subjects import Subjects
from pipelines.redaction.walker import redacted_json
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.files import note, writing
from pipelines.snapshots.schemas import EVENTS, SCHEMAS

BATCH_ROWS = 1 << 12
ADDRESSES = {"whatsapp_participants": "external_jid", "whatsapp_participant_jids": "jid"}
KEPT = ("state_at", "revision")  # of what the file says of itself
STATES = [table for table in SCHEMAS if table != EVENTS]


def rewrite_states(settings: LakeSettings, store: SnapshotStore, subjects: Subjects, until: date) -> list[str]:
    """Write the past states anew that show a subject, those of dates up to `until`; return their keys."""
    keys: list[str] = []
    for table in STATES:
        for day in map(date.fromisoformat, store.dates(table)):
            if day <= until:
                with writing(settings, day) as ledger:
                    keys += filter(None, [_rewrite(ledger, store, subjects, table, day)])
    return keys


def _rewrite(conn: Connection, store: SnapshotStore, subjects: Subjects, table: str, day: date) -> str | None:
    with store.open(table, day) as opened:
        if opened is None:
            return None
        metadata, content = opened
        if not any(changed for _, changed in _batches(content, subjects, table)):
            return None
        schema = content.schema_arrow.remove_metadata()
        kept = {name: value for name, value in metadata.items() if name in KEPT}
        batches = (batch for batch, _ in _batches(content, subjects, table))
        file = store.write(table, day, schema, batches, kept)
    note(conn, file)
    return file.key


def _batches(content: pq.ParquetFile, subjects: Subjects, table: str) -> Iterator[tuple[pa.RecordBatch, bool]]:
    """Yield a file's rows without the subjects, and whether that changes any."""
    address = ADDRESSES.get(table)
    for batch in content.iter_batches(BATCH_ROWS):
        rows = batch.to_pylist()
        left = [
            _without(subjects, row) for row in rows if not (address and is_subjects_address(subjects, row[address]))
        ]
        yield pa.RecordBatch.from_pylist(left, schema=batch.schema), left != rows


def _without(subjects: Subjects, row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: redacted_json(subjects, value) if isinstance(value, str) else value for name, value in row.items()}
