"""Stores a batch's events: new ones straight into their table, deliveries of known ones through the steps.

Belongs here: which of a batch's lines is which, and rows in the format of Postgres' binary COPY. Not: people and
groups, which are stored before (store), nor what becomes of an event that is delivered again (sql/events).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence

import uuid_utils

from pipelines.db import binary_copy
from pipelines.db.binary_copy import NULL, field, jsonb, microseconds, row, text, timestamptz, uuid, uuid_bytes
from pipelines.db.connection import Connection
from pipelines.db.queries import query, run_steps
from pipelines.errors import WppLakeError
from pipelines.loading.batches import LandedRow

Ids = Mapping[str | None, bytes]

# The columns of whatsapp_events that are never null and always of one length, each after its length: id, event_id,
# received_at, last_received_at, body_received_at, deliveries, the two flags, body_sha256 and landing_line. They are
# written at once: one by one they would take half of a row's time.
_COLUMNS = 18
_FIXED = struct.Struct(">h i16s i16s iq iq iq ii i? i? i32s ii")


class OvertakenError(WppLakeError):
    """Another load has changed what this one goes by: people or groups that it stored are gone."""


def store_events(conn: Connection, lines: Sequence[LandedRow]) -> Sequence[LandedRow]:
    """Store the events of some lines, and return those lines that brought one that was not known before.

    In the caller's transaction, which holds a place at the events; people and groups are stored. The first line of an
    event that isn't known adds it; all others count as deliveries, whose order and number the result doesn't depend on.
    Raises OvertakenError.
    """
    new, further = _divided(conn, lines)
    if new:
        _copy_new(conn, new)
    if further:
        binary_copy.copy(conn, "load/copy_events", _staged_rows(further))
        conn.execute(query("load/analyze_events"))
        run_steps(conn, "events")
    return new


def _divided(conn: Connection, lines: Sequence[LandedRow]) -> tuple[list[LandedRow], list[LandedRow]]:
    """Return the first lines of events that the table doesn't have, and all others."""
    event_ids = f"{{{','.join(each.row.event_id for each in lines)}}}"  # an array of UUIDs, written quicker than a list
    known = {event_id for (event_id,) in conn.execute(query("load/known_events"), {"event_ids": event_ids})}
    new: list[LandedRow] = []
    further: list[LandedRow] = []
    for each in lines:
        (further if each.row.event_id in known else new).append(each)
        known.add(each.row.event_id)
    return new, further


def _copy_new(conn: Connection, lines: Sequence[LandedRow]) -> None:
    people = _ids(conn, "load/people", {each.row.shown.author.jid for each in lines if each.row.shown.author})
    groups = _ids(conn, "load/groups", {each.row.shown.group_jid for each in lines if each.row.shown.group_jid})
    try:
        binary_copy.copy(conn, "load/copy_new_events", _new_rows(lines, people, groups))
    except KeyError as error:
        raise OvertakenError from error


def _ids(conn: Connection, name: str, jids: set[str]) -> Ids:
    return {None: NULL, **{jid: field(found) for jid, found in conn.execute(query(name), {"jids": list(jids)})}}


def _new_rows(lines: Sequence[LandedRow], people: Ids, groups: Ids) -> Iterator[bytes]:
    """Yield whatsapp_events' rows, for a binary COPY. Raises KeyError for a person or group that has no id."""
    for each in lines:
        line, shown = each.row, each.row.shown
        author, at = _author(each), microseconds(line.received_at)
        fixed = _FIXED.pack(
            _COLUMNS, 16, uuid_utils.uuid7().bytes, 16, uuid_bytes(line.event_id), 8, at, 8, at, 8, at, 4, 1,
            1, line.sanitized, 1, shown.undecrypted, 32, line.body_sha256, 4, each.line_number,
        )  # fmt: skip
        yield b"".join((
            fixed, text(each.landing_key), text(line.type), groups[shown.group_jid], text(shown.chat_jid),
            people[author], text(author), timestamptz(shown.occurred_at), jsonb(bytes(line.payload)),
        ))  # fmt: skip


def _staged_rows(lines: Sequence[LandedRow]) -> Iterator[bytes]:
    """Yield staged_events' rows, for a binary COPY."""
    for each in lines:
        line, shown = each.row, each.row.shown
        yield row(
            uuid(line.event_id), text(line.type), text(shown.group_jid), text(shown.chat_jid), text(_author(each)),
            timestamptz(shown.occurred_at), timestamptz(line.received_at), jsonb(bytes(line.payload)),
            field(bytes((line.sanitized,))), field(line.body_sha256), field(bytes((shown.undecrypted,))),
            text(each.landing_key), field(each.line_number.to_bytes(4)),
        )  # fmt: skip


def _author(each: LandedRow) -> str | None:
    author = each.row.shown.author
    return author.jid if author else None
