"""The snapshots' Arrow schemas: what every Parquet file of a table holds, whatever its rows.

Belongs here: column names, types, and what they mean, which each file carries and docs/tables.md repeats. Not: the
queries (sql/snapshots).
"""

from typing import Any

import pyarrow as pa

from pipelines.snapshots.hyperloglog import REGISTERS

SCHEMA_VERSION = "2"
EVENTS = "whatsapp_events"
FIELDS = "payload_fields"  # derived from the file of events, whose revision it has

# Uuids and JSON are strings, so that every reader shows them alike; times are UTC microseconds.
_UUID = _JSON = _TEXT = pa.string()
_TIME = pa.timestamp("us", tz="UTC")
_COUNT = pa.int64()


def _column(name: str, kind: pa.DataType, meaning: str, unit: str, source: str = "") -> "pa.Field[Any]":
    """Make a column that may be null; its source is the column of its name in the table unless another is given."""
    return pa.field(name, kind, metadata={"meaning": meaning, "unit": unit, "source": source or name})


def _required(name: str, kind: pa.DataType, meaning: str, unit: str, source: str = "") -> "pa.Field[Any]":
    """Make a column that never is null."""
    return _column(name, kind, meaning, unit, source).with_nullable(False)  # noqa: FBT003  the API's only way


SCHEMAS: dict[str, pa.Schema] = {
    "whatsapp_events": pa.schema([
        _required("id", _UUID, "surrogate key; changes when the tables are rebuilt", "UUID"),
        _required("event_id", _UUID, "id of the event, given by the collector; never changes", "UUID"),
        _required("type", _TEXT, "Baileys' event name, such as messages.upsert; an open set", "text"),
        _column("group_id", _UUID, "group of the event; null outside groups", "UUID"),
        _column("group_jid", _TEXT, "address of the group; null outside groups", "JID", "whatsapp_groups.external_jid"),
        _column("chat_jid", _TEXT, "address of the chat, as sent: a group, a person, a list", "JID"),
        _column("participant_id", _UUID, "author, as known at state_at; null where the body shows none", "UUID"),
        _column("participant_jid", _TEXT, "author's address, as the body shows it", "JID"),
        _column("tenant_id", _UUID, "community; not set today", "UUID"),
        _column("occurred_at", _TIME, "when it happened; null where the body has no time", "microseconds, UTC"),
        _required("received_at", _TIME, "when its first delivery was received", "microseconds, UTC"),
        _required("last_received_at", _TIME, "when its last delivery was received", "microseconds, UTC"),
        _required("deliveries", pa.int32(), "number of its deliveries", "landed lines"),
        _required("undecrypted", pa.bool_(), "placeholder of a message not decrypted yet", "true or false"),
        _required("payload", _JSON, "event as Baileys gave it; JSON null is the text null", "JSON"),
        _required("payload_sanitized", pa.bool_(), "NUL or lone surrogates became U+FFFD in payload", "true or false"),
        _required("landing_key", _TEXT, "landing file of the chosen body", "object key"),
        _required("landing_line", pa.int32(), "number of its line in that file", "lines, from 1"),
    ]),
    "whatsapp_groups": pa.schema([
        _required("id", _UUID, "surrogate key; changes when the tables are rebuilt", "UUID"),
        _required("external_jid", _TEXT, "address of the group", "JID"),
        _column("tenant_id", _UUID, "community; not set today", "UUID"),
        _column("display_name", _TEXT, "newest name; one with a time of its own comes before any other", "text"),
        _column("internal_name", _TEXT, "name given by the community; not set today", "text"),
        _column("payload", _JSON, "newest full metadata, by the latest change that it names", "JSON"),
        _required("first_seen_at", _TIME, "when a line that names it was first received", "microseconds, UTC"),
        _required("last_seen_at", _TIME, "when a line that names it was last received", "microseconds, UTC"),
    ]),
    "whatsapp_participants": pa.schema([
        _required("id", _UUID, "surrogate key; changes when the tables are rebuilt", "UUID"),
        _required("external_jid", _TEXT, "phone once it is known, else LID", "JID"),
        _column("push_name", _TEXT, "newest name among the person's addresses", "text"),
        _column("identity_id", _UUID, "linked user of another system; not set today", "UUID"),
        _column("payload", _JSON, "newest contact or roster entry that describes the person", "JSON"),
        _required("first_seen_at", _TIME, "when a line that shows the person was first received", "microseconds, UTC"),
        _required("last_seen_at", _TIME, "when a line that shows the person was last received", "microseconds, UTC"),
    ]),
    "whatsapp_participant_jids": pa.schema([
        _required("jid", _TEXT, "address: a phone or a LID", "JID"),
        _required("participant_id", _UUID, "person whose address it is at state_at", "UUID"),
        _column("push_name", _TEXT, "newest name shown with it by the author of a message", "text"),
        _required("first_seen_at", _TIME, "when a line that shows it was first received", "microseconds, UTC"),
        _required("last_seen_at", _TIME, "when a line that shows it was last received", "microseconds, UTC"),
    ]),
}  # fmt: skip

# The catalogue of payload fields, derived from the events of a date.
PAYLOAD_FIELDS = pa.schema([
    _required("type", _TEXT, "Baileys' event name; an asterisk for those that aren't like a name", "text"),
    _required("path", _TEXT, "path in payload; wildcards for elements and odd keys", "JSON path", "payload"),
    _required("type_events", _COUNT, "events of the type", "events", "type"),
    _required("events", _COUNT, "events of the type that have the path", "events", "payload"),
    _required("share", pa.float64(), "events divided by type_events", "0 to 1", "payload"),
    _required("objects", _COUNT, "objects there", "values", "payload"),
    _required("arrays", _COUNT, "arrays there", "values", "payload"),
    _required("strings", _COUNT, "strings there", "values", "payload"),
    _required("numbers", _COUNT, "numbers there", "values", "payload"),
    _required("booleans", _COUNT, "true and false there", "values", "payload"),
    _required("nulls", _COUNT, "JSON nulls there", "values", "payload"),
    _required("cut_off", _COUNT, "values in it without a path: too deep, or too many paths", "values", "payload"),
    _required("distinct", _COUNT, "estimated number of different strings, numbers and booleans", "values", "payload"),
    _required("first_seen_at", _TIME, "first receipt of an event that has it", "microseconds, UTC", "received_at"),
    _required("last_seen_at", _TIME, "last receipt of an event that has it", "microseconds, UTC", "received_at"),
    _column("example", _TEXT, "shape of a value: x per letter, 0 per digit; null without scalars", "text", "payload"),
    _required("sketch", pa.binary(REGISTERS), "source of the estimate in distinct", "HyperLogLog registers", "payload"),
])  # fmt: skip
