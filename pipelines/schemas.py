"""The snapshots' Arrow schemas: what every Parquet file of a table holds, whatever its rows.

Belongs here: column names and types. Not: where a column comes from (docs/tables.md, sql/snapshots).
"""

from typing import Any

import pyarrow as pa

SCHEMA_VERSION = "1"

# Uuids and JSON are strings, so that every reader shows them alike; times are UTC microseconds.
_UUID = _JSON = _TEXT = pa.string()
_TIME = pa.timestamp("us", tz="UTC")


def _column(name: str, kind: pa.DataType) -> "pa.Field[Any]":
    """Make a column that may be null."""
    return pa.field(name, kind)


def _required(name: str, kind: pa.DataType) -> "pa.Field[Any]":
    """Make a column that never is null."""
    return pa.field(name, kind, nullable=False)


SCHEMAS: dict[str, pa.Schema] = {
    "whatsapp_events": pa.schema([
        _required("id", _UUID),
        _required("event_id", _UUID),
        _required("type", _TEXT),
        _column("group_id", _UUID),
        _column("group_jid", _TEXT),
        _column("participant_id", _UUID),
        _column("participant_jid", _TEXT),
        _column("tenant_id", _UUID),
        _column("occurred_at", _TIME),
        _required("received_at", _TIME),
        _required("last_received_at", _TIME),
        _required("deliveries", pa.int32()),
        _required("undecrypted", pa.bool_()),
        _required("payload", _JSON),
        _required("payload_sanitized", pa.bool_()),
        _required("landing_key", _TEXT),
        _required("landing_line", pa.int32()),
    ]),
    "whatsapp_groups": pa.schema([
        _required("id", _UUID),
        _required("external_jid", _TEXT),
        _column("tenant_id", _UUID),
        _column("display_name", _TEXT),
        _column("internal_name", _TEXT),
        _column("payload", _JSON),
        _required("first_seen_at", _TIME),
        _required("last_seen_at", _TIME),
    ]),
    "whatsapp_participants": pa.schema([
        _required("id", _UUID),
        _required("external_jid", _TEXT),
        _column("push_name", _TEXT),
        _column("identity_id", _UUID),
        _column("payload", _JSON),
        _required("first_seen_at", _TIME),
        _required("last_seen_at", _TIME),
    ]),
    "whatsapp_participant_jids": pa.schema([
        _required("jid", _TEXT),
        _required("participant_id", _UUID),
        _column("push_name", _TEXT),
        _required("first_seen_at", _TIME),
        _required("last_seen_at", _TIME),
    ]),
}  # fmt: skip
