"""Follows one event through everything: landed lines, ledger, quarantine, row, Parquet.

Belongs here: where an event is looked for, and where its chain breaks. Not: comparing everything (reconcile). Nothing
of its content is told.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg.rows import dict_row

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.authenticity import Verifier
from pipelines.landing.format import LandingLineError, decode_line, split_lines
from pipelines.landing.zone import FetchedFile, LandingZone
from pipelines.loading.batches import WHOLE_FILE
from pipelines.loading.ledger import entries
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.schemas import EVENTS

HOUR = timedelta(hours=1)
TIMES = ("received_at", "last_received_at")
Found = dict[str, Any]


@dataclass
class Trace:
    """The stations of an event, one object per landed line and per place after it, and where its chain breaks."""

    event_id: str
    deliveries: list[Found] = field(default_factory=list)
    row: Found | None = None
    other_bodies: list[Found] = field(default_factory=list)
    parquet: Found | None = None
    breaks: list[str] = field(default_factory=list)


def trace(conn: Connection, zone: LandingZone, store: SnapshotStore, verifier: Verifier, event_id: UUID) -> Trace:
    """Follow one event. Where the tables have it, the hours of its receipt are read, else the whole landing zone."""
    found, asked = Trace(str(event_id)), {"event_id": event_id}
    with conn.cursor(row_factory=dict_row) as cursor:
        found.row = cursor.execute(query("trace/event"), asked).fetchone()
        found.other_bodies = cursor.execute(query("trace/event_bodies"), asked).fetchall()
    for fetched in _files(zone, found.row):
        found.deliveries += _deliveries(fetched, verifier, str(event_id))
    found.breaks += _breaks_of_deliveries(conn, found)
    if found.row:
        found.breaks += _breaks_of_row(found, found.row)
        found.parquet = _parquet(conn, store, found.row["day"], str(event_id))
        if found.parquet["state"] == "lacks it":
            found.breaks.append(f"{found.parquet['key']} lacks it: `wpp-lake snapshot --date {found.row['day']}`")
    return found


def _files(zone: LandingZone, row: Found | None) -> Iterator[FetchedFile]:
    """Fetch the landing files that may hold the event."""
    hours: list[datetime | None] = [None]
    if row:
        first, last = (row[name].astimezone(UTC).replace(minute=0, second=0, microsecond=0) for name in TIMES)
        hours = [first + number * HOUR for number in range((last - first) // HOUR + 1)]
    for hour in hours:
        for page in zone.files(hour):
            yield from zone.fetch(page)


def _deliveries(fetched: FetchedFile, verifier: Verifier, event_id: str) -> Iterator[Found]:
    """Yield the lines of a file that hold the event, verified again."""
    if event_id.encode() not in fetched.content.lower():
        return
    key = fetched.file.key
    for number, line in enumerate(split_lines(fetched.content), 1):
        try:
            event = decode_line(line)
            signed = event.signed
        except LandingLineError:
            continue
        if event.event_id.lower() == event_id:
            yield {
                "landing_key": key,
                "landing_line": number,
                "received_at": event.received_at,
                "contract": event.contract,
                "body_sha256": hashlib.sha256(signed).hexdigest(),
                "signature": "verifies" if verifier.is_signed(event, signed) else "doesn't verify",
                "file": verifier.file_fault(key, fetched.content, fetched.metadata) or "as it was put",
            }


def _breaks_of_deliveries(conn: Connection, found: Trace) -> Iterator[str]:
    """Say of each landed line what became of it, and yield those that ought to be loaded and aren't."""
    keys = list({each["landing_key"] for each in found.deliveries})
    ledger = entries(conn, keys)
    aside = {(key, number): entry for key, number, *entry in conn.execute(query("quarantine/of_files"), {"keys": keys})}
    if not found.deliveries:
        yield "no landed line holds it"
    for each in found.deliveries:
        key, number = each["landing_key"], each["landing_line"]
        state, reason, entry_id = aside.get((key, number)) or aside.get((key, WHOLE_FILE)) or ("", "", "")
        if key not in ledger:
            each["became"] = "not loaded yet"
            yield f"{key} isn't in the ledger: `wpp-lake load`"
        elif state in {"open", "discarded"}:
            each["became"] = f"{state} in quarantine, {reason}: {entry_id}"
            yield f"{key}:{number} is in quarantine: `wpp-lake quarantine show {entry_id}`"
        else:
            each["became"] = "loaded" if found.row else "loaded, and no row"
            if not found.row:
                yield f"{key}:{number} was loaded, and no row is there: `wpp-lake rebuild`"


def _breaks_of_row(found: Trace, row: Found) -> Iterator[str]:
    """Yield what of the row no landed line accounts for."""
    bodies = {(each["landing_key"], each["landing_line"]): each["body_sha256"] for each in found.deliveries}
    for each in [row, *found.other_bodies]:
        place = each["landing_key"], each["landing_line"]
        if bodies and bodies.get(place) != each["body_sha256"]:
            yield f"{place[0]}:{place[1]} doesn't hold the body that it is said to: `wpp-lake verify`"
    loaded = sum(each["became"] == "loaded" for each in found.deliveries)
    if loaded != row["deliveries"]:
        yield f"the row counts {row['deliveries']} deliveries, and {loaded} landed lines are: `wpp-lake reconcile`"


def _parquet(conn: Connection, store: SnapshotStore, day: date, event_id: str) -> Found:
    """Tell whether the date's Parquet file has the event."""
    key = snapshot_key(EVENTS, day)
    with store.open(EVENTS, day) as opened:
        if opened is None:
            return {"key": key, "state": "not written yet"}
        metadata, content = opened
        has = any(event_id in batch[0].to_pylist() for batch in content.iter_batches(columns=["event_id"]))
    (revision,) = conn.execute(query("trace/revision"), {"day": day}).fetchone() or (None,)
    behind = metadata.get("revision") != revision
    return {"key": key, "state": "has it" if has else "is behind its table" if behind else "lacks it"}
