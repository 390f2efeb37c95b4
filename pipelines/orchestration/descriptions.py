"""Each asset described before its first run: what a row is, the columns, who answers for it, how to read it.

Belongs here: words, tags and links. Not: what the assets depend on and do (assets), what the columns mean (snapshots).
"""

import warnings
from typing import Any

import dagster as dg
import pyarrow as pa

from pipelines.snapshots.schemas import FIELDS, PAYLOAD_FIELDS, SCHEMAS

OWNERS = ["team:data", "team:data-privacy"]  # who runs it; who reviews what it keeps (docs/adr/0001)
# Real phone numbers, names or content; the catalogue of payload fields has shapes of them, and sketches.
PERSONAL, DERIVED = ({"personal-data": value} for value in ("yes", "derived"))
# Types of Postgres, by a column's unit, else by its type in Arrow.
TYPES = {
    "UUID": "uuid", "JSON": "jsonb", "string": "text", "timestamp[us, tz=UTC]": "timestamptz", "bool": "boolean",
    "int16": "smallint", "int32": "integer", "int64": "bigint",
}  # fmt: skip
OF_A_FILE, NOW = "as known at state_at", "as known now"
ROWS = {
    "whatsapp_events": "One row per event id, however often it was delivered.",
    "whatsapp_groups": "One row per group.",
    "whatsapp_participants": "One row per person: a phone with its LIDs, or a LID that never showed its phone.",
    "whatsapp_participant_jids": "One row per address, a phone or a LID, with the person whose it is.",
    FIELDS: "One row per event type and path seen in the payloads of the date's events: how often, and of which shape.",
}


def of_table(table: str) -> dict[str, Any]:
    """Return what describes a table's asset; its columns are those that its snapshot has of it."""
    schema = [field for field in SCHEMAS[table] if _note(field, "source") == field.name]
    return {
        "description": f"{ROWS[table]} In Postgres; an hour's partition is what was received in it.\n\n"
        f"All columns: docs/tables.md.\n\n```sql\nselect * from {table} limit 10\n```",
        "metadata": {"dagster/table_name": f"wpp_lake.public.{table}", **_columns(schema, in_postgres=True)},
        "owners": OWNERS,
        "tags": PERSONAL,
        "kinds": {"postgres"},
    }


def of_snapshot(table: str) -> dict[str, Any]:
    """Return what describes a snapshot's asset."""
    dated = "A date's file has what was received on it." if _is_dated(table) else "Today's file has the state now."
    read = f"from pipelines import notebook\n\nnotebook.read({table!r}, '2026-05-21')"
    return {
        "description": f"{ROWS[table]} {dated} In Parquet, UTC dates.\n\n"
        f"More: docs/tables.md, docs/notebooks.md.\n\n```python\n{read}\n```",
        "metadata": {"dagster/table_name": table, **_columns(PAYLOAD_FIELDS if table == FIELDS else SCHEMAS[table])},
        "owners": OWNERS,
        "tags": DERIVED if table == FIELDS else PERSONAL,
        "kinds": {"parquet"},
    }


LANDING_FILES: dict[str, Any] = {
    "description": "The landed JSON-lines files, one line per delivery, one prefix per UTC hour of receipt. The "
    "receiver writes them, and every table can be made of them again.\n\nMore: docs/landing-zone.md.",
    "owners": OWNERS,
    "tags": PERSONAL,
    "kinds": {"s3", "json"},
}


def with_code_references(*assets: Any) -> list[Any]:
    """Return assets with the file and line of what makes them; a specification has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        return list(dg.with_source_code_references(assets))


def _is_dated(table: str) -> bool:
    """Tell whether a date's file has that date's rows, and not a state."""
    return table in {"whatsapp_events", FIELDS}


def _columns(schema: "pa.Schema | list[pa.Field[Any]]", *, in_postgres: bool = False) -> dict[str, dg.TableSchema]:
    """Return the columns in Dagster's terms, each with its meaning and unit."""
    columns = [
        dg.TableColumn(
            field.name,
            _postgres_type(field) if in_postgres else str(field.type),
            description=f"{_note(field, 'meaning').replace(OF_A_FILE, NOW) if in_postgres else _note(field, 'meaning')}"
            f" ({_note(field, 'unit')})",
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in schema
    ]
    return {"dagster/column_schema": dg.TableSchema(columns)}


def _postgres_type(field: "pa.Field[Any]") -> str:
    """Return the type of a table's column, which its snapshot may have as a string."""
    return TYPES.get(_note(field, "unit")) or TYPES.get(str(field.type)) or str(field.type)


def _note(field: "pa.Field[Any]", name: str) -> str:
    return (field.metadata or {})[name.encode()].decode()
