"""Stores a batch's events: new ones straight into their table, deliveries of known ones through the steps.

Belongs here: which of a batch's lines is which, and rows in the format of Postgres' binary COPY. Not: people and
groups, which are stored before (store), nor what becomes of an event that is delivered again (sql/events).
"""

from collections.abc import Iterator, Mapping, Sequence

import uuid_utils

from pipelines.db import binary_copy
from pipelines.db.binary_copy import NULL, field, fixed_fields, jsonb, microseconds, text, timestamptz, uuid_bytes
from pipelines.db.connection import Connection
from pipelines.db.queries import names, query, run_steps
from pipelines.errors import WppLakeError
from pipelines.loading.batches import LandedRow

Ids = Mapping[str | None, bytes]

# The columns of whatsapp_events that a load writes, and of staged_events, in the order of `_rows`. FIXED are never null
# and always of one length, each with its format: they are written at once, since one by one they take half of a row's
# time. An event's first line gives it all of them; from then on OF_BODY follow the chosen body.
FIXED = {
    "id": "16s", "event_id": "16s", "received_at": "q", "last_received_at": "q", "body_received_at": "q",
    "deliveries": "i", "landing_line": "i", "payload_sanitized": "?", "undecrypted": "?", "body_sha256": "32s",
}  # fmt: skip
COLUMNS = (
    *FIXED, "landing_key", "type", "group_id", "chat_jid", "participant_id", "participant_jid", "occurred_at",
    "payload",
)  # fmt: skip
OF_DELIVERY = {
    "id", "event_id", "received_at", "last_received_at", "body_received_at", "deliveries", "landing_line",
    "landing_key",
}  # fmt: skip
OF_BODY = [name for name in COLUMNS if name not in OF_DELIVERY]
_FIXED = fixed_fields(FIXED.values())


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
        _copy(conn, "whatsapp_events", new)
    if further:
        _copy(conn, "staged_events", further)
        conn.execute(query("load/analyze_events"))
        run_steps(conn, "events", columns=names(OF_BODY), better=names(OF_BODY, "better"))
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


def _copy(conn: Connection, table: str, lines: Sequence[LandedRow]) -> None:
    people = _ids(conn, "load/people", {each.row.shown.author.jid for each in lines if each.row.shown.author})
    groups = _ids(conn, "load/groups", {each.row.shown.group_jid for each in lines if each.row.shown.group_jid})
    try:
        binary_copy.copy(conn, table, COLUMNS, _rows(lines, people, groups))
    except KeyError as error:
        raise OvertakenError from error


def _ids(conn: Connection, name: str, jids: set[str]) -> Ids:
    return {None: NULL, **{jid: field(found) for jid, found in conn.execute(query(name), {"jids": list(jids)})}}


def _rows(lines: Sequence[LandedRow], people: Ids, groups: Ids) -> Iterator[bytes]:
    """Yield rows of COLUMNS, for a binary COPY. Raises KeyError for a person or group that has no id."""
    for each in lines:
        line, shown, author = each.row, each.row.shown, _author(each)
        at = microseconds(line.received_at)
        fixed = _FIXED.pack(
            len(COLUMNS), 16, uuid_utils.uuid7().bytes, 16, uuid_bytes(line.event_id), 8, at, 8, at, 8, at,
            4, 1, 4, each.line_number, 1, line.sanitized, 1, shown.undecrypted, 32, line.body_sha256,
        )  # fmt: skip
        yield b"".join((
            fixed, text(each.landing_key), text(line.type), groups[shown.group_jid], text(shown.chat_jid),
            people[author], text(author), timestamptz(shown.occurred_at), jsonb(bytes(line.payload)),
        ))  # fmt: skip


def _author(each: LandedRow) -> str | None:
    author = each.row.shown.author
    return author.jid if author else None
