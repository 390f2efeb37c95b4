"""A column is the same wherever it stands: in the migrations, in what a load copies, in the snapshots."""

import re
import struct
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pyarrow as pa
import pytest
from factories import RECEIVED, event, event_id, group, line, message, participant
from lake import Lake
from project import ROOT

from pipelines.db.queries import query
from pipelines.loading.events import COLUMNS, FIXED, OF_BODY
from pipelines.loading.observations import GROUPS, JIDS, PAIRS
from pipelines.orchestration.descriptions import ROWS
from pipelines.snapshots.schemas import SCHEMAS

ARROW: dict[str, pa.DataType] = {
    "uuid": pa.string(),
    "text": pa.string(),
    "jsonb": pa.string(),
    "timestamptz": pa.timestamp("us", tz="UTC"),
    "int4": pa.int32(),
    "bool": pa.bool_(),
}
STAGED = {"jids": JIDS, "pairs": PAIRS, "groups": GROUPS}
FOLDED_INTO = {"jids": "whatsapp_participant_jids", "pairs": "whatsapp_jid_pairs", "groups": "whatsapp_groups"}


def columns(lake: Lake, table: str) -> dict[str, tuple[str, int, bool]]:
    """Return the columns of a table, each with its type, its bytes (-1 if they vary), and whether it is never null."""
    found = lake.connection.execute(
        "select attname::text, typname::text, attlen::int, attnotnull from pg_attribute join pg_type on"
        " pg_type.oid = atttypid where attrelid = %s::text::regclass and attnum > 0 and not attisdropped",
        [table],
    )
    return {name: (kind, length, required) for name, kind, length, required in found}


def test_a_load_writes_every_column_of_an_event_but_what_others_set(lake: Lake) -> None:
    assert set(columns(lake, "whatsapp_events")) - set(COLUMNS) == {"tenant_id"}
    assert set(COLUMNS) - set(columns(lake, "whatsapp_events")) == set()


def test_what_is_packed_at_once_is_never_null_and_has_the_bytes_of_its_type(lake: Lake) -> None:
    """A digest's type has no length of its own."""
    stored = columns(lake, "whatsapp_events")
    packed = {name: (struct.calcsize(f">{form}"), True) for name, form in FIXED.items()}
    assert {name: stored[name][1:] for name in FIXED} == packed | {"body_sha256": (-1, True)}


def test_further_deliveries_are_staged_in_the_columns_of_the_table(lake: Lake) -> None:
    lake.connection.execute(query("load/staging_tables"))
    assert columns(lake, "staged_events") == columns(lake, "whatsapp_events")


@pytest.mark.parametrize("staged", STAGED)
def test_what_is_staged_of_people_and_groups_has_the_types_that_it_is_folded_into(lake: Lake, staged: str) -> None:
    lake.connection.execute(query("load/staging_tables"))
    there, table = columns(lake, f"staged_{staged}"), columns(lake, FOLDED_INTO[staged])
    assert set(there) == set(STAGED[staged])
    assert {name: kind for name, (kind, *_) in there.items()} == {name: table[name][0] for name in there}


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_snapshots_columns_have_the_types_of_the_table(lake: Lake, table: str) -> None:
    stored = columns(lake, table) | {"group_jid": ("text", -1, False)}
    schema = {field.name: (field.type, not field.nullable) for field in SCHEMAS[table]}
    assert schema == {name: (ARROW[stored[name][0]], stored[name][2]) for name in schema}


@pytest.mark.parametrize("table", SCHEMAS)
def test_a_tables_comments_are_what_the_snapshots_columns_mean(lake: Lake, table: str) -> None:
    comments = dict(
        lake.connection.execute(
            "select attname, col_description(attrelid, attnum) from pg_attribute where attrelid = %s::text::regclass"
            " and attnum > 0 and not attisdropped",
            [table],
        ).fetchall()
    )
    meanings = {}
    for each in SCHEMAS[table]:
        notes = {key.decode(): note.decode() for key, note in (each.metadata or {}).items()}
        if notes["source"] == each.name:
            meanings[each.name] = f"{notes['meaning']} ({notes['unit']})"
    assert {name: comments[name] for name in meanings} == meanings
    assert lake.rows(f"select obj_description('{table}'::regclass)") == [(ROWS[table],)]


def test_a_snapshot_leaves_out_how_a_row_came_to_be(lake: Lake) -> None:
    """All else that a table has is in its snapshot."""
    origin = {"named_timed", "named_at", "named_by", "changed_at", "described_at", "described_by", "described_sha256"}
    assert {table: set(columns(lake, table)) - set(SCHEMAS[table].names) - origin for table in SCHEMAS} == {
        "whatsapp_events": {"body_sha256", "body_received_at"},
        "whatsapp_groups": set(),
        "whatsapp_participants": set(),
        "whatsapp_participant_jids": {"payload"},
    }


def stored(lake: Lake) -> Mapping[str, Any]:
    """Return the only event, its ids as what they stand for."""
    names = ", ".join(f"events.{name}" for name in COLUMNS if name not in {"id", "group_id", "participant_id"})
    [row] = lake.connection.execute(
        f"select {names}, g.external_jid as group_id, p.external_jid as participant_id from whatsapp_events events"  # noqa: S608  names of the code
        " join whatsapp_groups g on g.id = group_id join whatsapp_participants p on p.id = participant_id"
    ).fetchall()
    return dict(zip([*names.replace("events.", "").split(", "), "group_id", "participant_id"], row, strict=True))


def test_each_column_of_an_event_has_its_own_value(lake: Lake) -> None:
    """Those of the first delivery, and those of a better body that comes in a later file."""
    later = RECEIVED + timedelta(seconds=5)
    placeholder = message(participant(1), text="\0", messageStubType=2)
    lake.land(b"no event\n", line(event(placeholder), "a"))
    lake.load()
    first = stored(lake)
    assert (first["type"], first["payload_sanitized"], first["undecrypted"]) == ("messages.upsert", True, True)
    assert (first["landing_line"], first["deliveries"], first["chat_jid"]) == (2, 1, group(1))
    real = message(participant(2), key="3EB1", chat=group(2), messageTimestamp=1779336843)
    lake.land(line(event(real, kind="messages.media-update", chat=group(2)), "a", later), at=later)
    lake.load(later)
    second = stored(lake)
    changed = {name for name in COLUMNS if name != "id" and first[name] != second[name]}
    assert changed == {*OF_BODY, "body_received_at", "landing_key", "landing_line", "last_received_at", "deliveries"}
    assert (second["event_id"], second["group_id"], second["body_received_at"]) == (
        UUID(event_id("a")),
        group(2),
        later,
    )


def test_the_diagram_has_every_reference_and_no_other(lake: Lake) -> None:
    """One that is never null has exactly one row at its other end, else none or one."""
    found = lake.rows(
        "select confrelid::regclass::text, case when attnotnull then '||' else '|o' end, conrelid::regclass::text,"
        " attname::text from pg_constraint join pg_attribute on attrelid = conrelid and attnum = any(conkey)"
        " where contype = 'f'"
    )
    [diagram] = re.findall(r"```mermaid\nerDiagram\n(.*?)```", (ROOT / "docs" / "tables.md").read_text(), re.DOTALL)
    drawn = re.findall(r"(\w+) (\|[|o])--o\{ (\w+) : (\w+)", diagram)
    assert len(drawn) == diagram.count("--")
    assert sorted(drawn) == sorted(found)
