"""Rows for Spark: landed lines, and what a batch of them shows of addresses, pairs and groups.

Belongs here: the columns of these rows, filled from a batch. Not: reading a batch (stretches), folding rows
(sql/spark). A row is of one kind, by `shows`; columns of other kinds are null in it. What a batch shows of people and
groups is folded within it already, as for a load: a roster that comes a hundred times is one row for each member.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from pipelines.loading.batches import Batch, LandedRow
from pipelines.loading.observations import Observations, Seen

_TIME = pa.timestamp("us", tz="UTC")
_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("shows", pa.string()),  # "line", "aside", "address", "pair" or "group"
    ("reason", pa.string()),  # why a line was put aside
    # Of a line.
    ("event_id", pa.string()), ("body_sha256", pa.binary()), ("undecrypted", pa.bool_()), ("received_at", _TIME),
    ("landing_key", pa.string()), ("landing_line", pa.int32()), ("type", pa.string()), ("group_jid", pa.string()),
    ("chat_jid", pa.string()), ("participant_jid", pa.string()), ("occurred_at", _TIME), ("payload", pa.string()),
    ("payload_sanitized", pa.bool_()), ("doubtful", pa.bool_()),
    # Of an address or a group; `payload` describes it.
    ("jid", pa.string()), ("first_seen_at", _TIME), ("last_seen_at", _TIME),
    ("named_timed", pa.bool_()), ("named_at", _TIME), ("named_by", pa.string()), ("name", pa.string()),
    ("changed_at", _TIME), ("described_at", _TIME), ("described_by", pa.string()), ("described_sha256", pa.binary()),
    # Of a pair, which `event_id` showed last.
    ("lid_jid", pa.string()), ("phone_jid", pa.string()), ("observed_at", _TIME),
]  # fmt: skip
SHOWN = pa.schema(_COLUMNS)


def shown(batch: Batch) -> Iterator[pa.RecordBatch]:
    """Yield everything that a batch shows."""
    seen = batch.seen or batch.observe()
    yield _record_batch("line", len(batch.loadable), _lines(batch.loadable))
    yield _record_batch("aside", len(batch.unloadable), {"reason": [each["reason"] for each in batch.unloadable]})
    yield _record_batch("address", len(seen.people), _seen(seen.people))
    yield _record_batch("group", len(seen.groups), _seen(seen.groups))
    yield _record_batch("pair", len(seen.pairs), _pairs(seen))


def _record_batch(kind: str, rows: int, columns: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
    given = {**columns, "shows": [kind] * rows}
    arrays = [pa.array(given.get(field.name, [None] * rows), field.type) for field in SHOWN]
    return pa.RecordBatch.from_arrays(arrays, schema=SHOWN)


def _lines(lines: Sequence[LandedRow]) -> dict[str, list[Any]]:
    rows = [each.row for each in lines]
    seen = [row.shown for row in rows]
    return {
        "event_id": [row.event_id for row in rows],
        "body_sha256": [row.body_sha256 for row in rows],
        "undecrypted": [each.undecrypted for each in seen],
        "received_at": [row.received_at for row in rows],
        "landing_key": [each.landing_key for each in lines],
        "landing_line": [each.line_number for each in lines],
        "type": [row.type for row in rows],
        "group_jid": [each.group_jid for each in seen],
        "chat_jid": [each.chat_jid for each in seen],
        "participant_jid": [each.author.jid if each.author else None for each in seen],
        "occurred_at": [each.occurred_at for each in seen],
        "payload": [bytes(row.payload) for row in rows],
        "payload_sanitized": [row.sanitized for row in rows],
        "doubtful": [row.doubtful for row in rows],
    }


def _seen(known: Mapping[str, Seen]) -> dict[str, list[Any]]:
    names = [each.naming for each in known.values()]
    objects = [each.describing for each in known.values()]
    return {
        "jid": list(known),
        "first_seen_at": [each.first for each in known.values()],
        "last_seen_at": [each.last for each in known.values()],
        "named_timed": [each and each.timed for each in names],
        "named_at": [each and each.observed_at for each in names],
        "named_by": [each and each.event_id for each in names],
        "name": [each and each.name for each in names],
        "changed_at": [each and each.changed_at for each in objects],
        "described_at": [each and each.observed_at for each in objects],
        "described_by": [each and each.event_id for each in objects],
        "described_sha256": [each and each.sha256 for each in objects],
        "payload": [each and each.payload for each in objects],
    }


def _pairs(seen: Observations) -> dict[str, list[Any]]:
    newest = list(seen.pairs.values())
    return {
        "lid_jid": [lid_jid for lid_jid, _ in seen.pairs],
        "phone_jid": [phone_jid for _, phone_jid in seen.pairs],
        "observed_at": [observed_at for observed_at, _ in newest],
        "event_id": [event_id for _, event_id in newest],
    }
