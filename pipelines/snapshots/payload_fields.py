"""The catalogue of payload fields: one Parquet file per UTC date, derived from the date's snapshot of events.

Belongs here: writing a date's file, joining those of several dates, which paths are new. Not: what is counted of a
payload (payload_profile), nor the columns (schemas).
"""

import logging
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.files import Snapshot, note, writing
from pipelines.snapshots.hyperloglog import REGISTERS, estimate
from pipelines.snapshots.payload_profile import Fields, example
from pipelines.snapshots.schemas import EVENTS, FIELDS, PAYLOAD_FIELDS
from pipelines.snapshots.stale import current_revisions

logger = logging.getLogger(__name__)

BATCH_ROWS = 1 << 10
MAX_ROWS = 20_000  # of a catalogue of several dates; a date's own is limited by type
SLACK = 4  # while dates are joined it has so many times more, since what few events had so far may yet be frequent
ROOT = "$"
KEY = ["type", "path"]
BY_KEY: list[tuple[str, Literal["ascending", "descending"]]] = [(name, "ascending") for name in KEY]
SUMS = ["events", "objects", "arrays", "strings", "numbers", "booleans", "nulls", "cut_off"]
# The columns of events that matter here; payloads as bytes, since a str may take four times as much.
TAKEN_AS: dict[str, pa.DataType] = {"type": pa.string(), "payload": pa.binary(), "received_at": pa.int64()}
# What two catalogues are joined by; the other columns follow from it.
FIGURES = pa.schema(
    [PAYLOAD_FIELDS.field(name) for name in (*KEY, *SUMS, "first_seen_at", "last_seen_at", "example", "sketch")]
)


def write_catalogue(
    settings: LakeSettings, store: SnapshotStore, day: date, *, only_stale: bool = False
) -> Snapshot | None:
    """Write the catalogue of a UTC date, or only a stale one, from its snapshot of events; None if nothing was."""
    with writing(settings, day) as ledger:
        known = current_revisions(ledger, store, day, (EVENTS, FIELDS))
        if EVENTS not in known or (only_stale and known[EVENTS] == known.get(FIELDS)):
            return None
        with tempfile.TemporaryFile() as events:
            shown = store.get(snapshot_key(EVENTS, day), events)
            batches = published(figures(_described(events))).to_batches()
        metadata = {name: shown[name] for name in ("state_at", "revision")}
        file = store.write(FIELDS, day, PAYLOAD_FIELDS, batches, metadata)
        note(ledger, file)
        return file


def catalogue(settings: LakeSettings, since: date | None = None, until: date | None = None) -> pa.Table:
    """Return the catalogue of all dates, or of those from `since` to `until`, both included, as one.

    Of more than MAX_ROWS paths it has those that most events have, and logs how many it left out.
    """
    store = SnapshotStore(settings)
    dates = [day for day in map(date.fromisoformat, store.dates(FIELDS)) if (since or day) <= day <= (until or day)]
    every = FIGURES.empty_table()
    for day in dates:
        every = _limited(joined(every, store.read(FIELDS, day, FIGURES.names)), SLACK * MAX_ROWS)
    return published(_limited(every, MAX_ROWS))


def new_paths(store: SnapshotStore, day: date) -> dict[str, list[str]]:
    """Return, by type, the paths of a date that no earlier date has; none at all if no earlier date has any.

    Catalogues are read from the newest back, until none of the paths is left: one, on most days.
    """
    dates = [date.fromisoformat(each) for each in reversed(store.dates(FIELDS))]
    new, any_known = _paths(store, day) if day in dates else set[tuple[str, str]](), False
    for earlier in (each for each in dates if each < day):
        if new:
            known = _paths(store, earlier)
            any_known = any_known or bool(known)
            new -= known
    by_type = defaultdict[str, list[str]](list)
    for kind, path in sorted(new if any_known else ()):
        by_type[kind].append(path)
    return dict(by_type)


def figures(fields: Fields) -> pa.Table:
    """Return what was counted as a table: one row per type and path."""
    counted = FIGURES.names[1:]
    rows = [{"type": kind, **{name: getattr(field, name) for name in counted}} for kind, field in fields]
    return pa.Table.from_pylist(rows, FIGURES)


def joined(one: pa.Table, other: pa.Table) -> pa.Table:
    """Return the figures of two sets of events as those of both."""
    pairs: Any = one.join(other, KEY, join_type="full outer", right_suffix=" of other").sort_by(BY_KEY)
    columns = {name: join(pairs[name], pairs[f"{name} of other"]) for name, join in JOINS.items()}
    return pa.table({name: pairs[name] for name in KEY} | columns).cast(FIGURES)


def published(table: Any) -> pa.Table:
    """Return figures with the columns that follow from them."""
    roots = table.filter(pc.field("path") == ROOT)
    type_events = roots["events"].take(pc.index_in(table["type"], value_set=roots["type"]))
    columns = {name: table[name] for name in table.column_names} | {
        "type_events": type_events,
        "share": pc.divide(table["events"].cast(pa.float64()), type_events),
        "distinct": pa.array(map(estimate, table["sketch"].to_pylist()), pa.int64()),
    }
    return pa.table({name: columns[name] for name in PAYLOAD_FIELDS.names}, PAYLOAD_FIELDS)


def _limited(table: pa.Table, rows: int) -> pa.Table:
    """Leave out what few events have; a type's root, which all have, comes before the rest of it."""
    if len(table) <= rows:
        return table
    logger.warning("%d payload paths left out", len(table) - rows)
    most = table.sort_by([("events", "descending"), ("path", "ascending")]).slice(0, rows)
    return most.sort_by(BY_KEY)


def _described(events: IO[bytes]) -> Fields:
    """Take in a file of events."""
    fields = Fields()
    for batch in _batches(pq.ParquetFile(events)):
        columns = [batch[name].cast(kind).to_pylist() for name, kind in TAKEN_AS.items()]
        for kind, payload, at in zip(*columns, strict=True):
            fields.add(kind, payload, at)
    return fields


def _batches(file: pq.ParquetFile) -> Iterator[Any]:
    """Yield rows by row groups, which are bounded in bytes; a batch may else gather those of many."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(TAKEN_AS))


def _paths(store: SnapshotStore, day: date) -> set[tuple[str, str]]:
    return {(row["type"], row["path"]) for row in store.read(FIELDS, day, KEY).to_pylist()}


def _sum(one: Any, other: Any) -> Any:
    return pc.add(pc.fill_null(one, 0), pc.fill_null(other, 0))


def _examples(one: Any, other: Any) -> Any:
    return pa.array(map(example, one.to_pylist(), other.to_pylist()), pa.string())


def _sketches(one: Any, other: Any) -> Any:
    """Return the greatest of each two registers."""
    greatest = pc.max_element_wise(_registers(one), _registers(other))
    return pa.Array.from_buffers(pa.binary(REGISTERS), len(one), [None, greatest.buffers()[1]])


def _registers(sketches: Any) -> Any:
    whole = pc.fill_null(sketches, bytes(REGISTERS)).combine_chunks()
    return pa.Array.from_buffers(
        pa.uint8(), len(whole) * REGISTERS, [None, whole.buffers()[1]], offset=whole.offset * REGISTERS
    )


JOINS: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(SUMS, _sum),
    "first_seen_at": lambda one, other: pc.min_element_wise(one.cast(pa.int64()), other.cast(pa.int64())),
    "last_seen_at": lambda one, other: pc.max_element_wise(one.cast(pa.int64()), other.cast(pa.int64())),
    "example": _examples,
    "sketch": _sketches,
}
