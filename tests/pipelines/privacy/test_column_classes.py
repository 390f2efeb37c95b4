"""Every column is classed by what it may say of a person, and no column that isn't there."""

import json
import re
from typing import Any

import pytest
from factories import event, line, message
from lake import Lake
from psycopg import sql

from pipelines.landing.format import LandedEvent, Tombstone
from pipelines.parsing.jids import Person
from pipelines.privacy.columns import CLASSES, OBJECTS, ONLY_IN_SNAPSHOTS, TABLES, of_snapshot, places
from pipelines.redaction.erasures import Erasure, Touched
from pipelines.snapshots.schemas import FIELDS, PAYLOAD_FIELDS, SCHEMAS
from receiver.landing import file_metadata

PHONE, LID, NAME, TEXT = "5500900000077", "910000000000077", "Benedita Anacleta", "uma frase sem igual"
SOMEBODY = re.compile(f"{PHONE}|{LID}|{NAME}|{TEXT}")
BYTES = {("quarantined_events", "raw")}
# Where such a person's phone, LID, name or text stands.
SHOWING = {
    "quarantined_events": "raw",
    "whatsapp_events": "chat_jid participant_jid payload",
    "whatsapp_groups": "display_name external_jid payload",
    "whatsapp_jid_pairs": "lid_jid phone_jid",
    "whatsapp_membership_changes": "actor_jid group_jid participant_jid",
    "whatsapp_messages": "chat_jid deleted_by group_jid mentioned_jids participant_jid reacted_by reply_to_jid text",
    "whatsapp_participant_jids": "jid payload push_name",
    "whatsapp_participants": "external_jid payload push_name",
}


def there(lake: Lake) -> set[tuple[str, str]]:
    """Return every table and view of the lake, each with each of its columns."""
    found = lake.rows(
        "select table_name::text, column_name::text from information_schema.columns where table_schema = 'public'"
    )
    return {(table, column) for table, column in found}


def test_every_column_of_the_database_is_classed_and_no_other(lake: Lake) -> None:
    classed = {(table, column) for table, columns in TABLES.items() for column in columns}
    assert (there(lake) - classed, classed - there(lake)) == (set(), set())


@pytest.mark.parametrize("table", [*SCHEMAS, FIELDS])
def test_every_column_of_a_snapshot_is_classed_and_no_other(table: str) -> None:
    names = set(SCHEMAS.get(table, PAYLOAD_FIELDS).names)
    own = set(ONLY_IN_SNAPSHOTS.get(table, {}))
    assert (names - own - set(TABLES.get(table, {})), own - names) == (set(), set())
    assert own & set(TABLES.get(table, {})) == set()
    assert {of_snapshot(table, name).kind for name in names} <= set(CLASSES)


def test_only_snapshots_that_there_are_have_columns_of_their_own() -> None:
    assert set(ONLY_IN_SNAPSHOTS) <= {*SCHEMAS, FIELDS}


def test_everything_in_the_landing_bucket_is_classed_and_nothing_else() -> None:
    names = {
        "landed line": {*LandedEvent.__struct_fields__, *Tombstone.__struct_fields__},
        "metadata of a landing file": set(file_metadata(b"secret", "key", b"")),
        "entry of the list of erasures": set(Erasure.__struct_fields__),
        "manifest of an erasure": set(Touched.__struct_fields__),
    }
    assert {place: set(columns) for place, columns in OBJECTS.items()} == names


def test_what_says_something_of_a_person_has_a_reason() -> None:
    assert [
        (place, name)
        for place, columns in places()
        for name, column in columns.items()
        if bool(column.reason) != (column.kind != "none")
    ] == []


def land_somebody(lake: Lake) -> None:
    """Land and load every shape in which a person's phone, LID, name or text comes, a line that is none among them."""
    author, phone, lid = Person(LID, PHONE), f"{PHONE}@s.whatsapp.net", f"{LID}@lid"
    group = f"{PHONE}-1500000000@g.us"
    key = {"remoteJid": group, "id": "3EB0", "participant": lid, "participantAlt": phone}
    reply = {"text": TEXT, "contextInfo": {"stanzaId": "3EB0", "participant": phone, "mentionedJid": [phone]}}
    member = {"id": lid, "phoneNumber": phone}
    metadata = {"id": group, "subject": f"{NAME} e amigos", "desc": TEXT, "participants": [member | {"notify": NAME}]}
    removed = {"messageStubType": 28, "participant": phone, "messageStubParameters": [json.dumps(member)]}
    payloads: list[tuple[str, dict[str, Any]]] = [
        ("messages.upsert", message(author, text=TEXT, chat=group, pushName=NAME)),
        ("messages.upsert", message(author, key="3EB1", chat=group) | {"message": {"extendedTextMessage": reply}}),
        ("messages.upsert", {"key": key | {"id": "3EB2"}, **removed}),
        ("messages.reaction", {"key": key, "reaction": {"key": key, "text": "\N{THUMBS UP SIGN}"}}),
        ("messages.update", {"key": key, "update": {"message": None}}),
        ("groups.metadata", metadata),
    ]
    landed = [line(event(payload, kind=kind, chat=group), payload) for kind, payload in payloads]
    lake.land(*landed, f"{PHONE} {NAME} {TEXT}\n".encode())
    assert lake.load().quarantined == 1


def shows(lake: Lake, table: str, column: str) -> bool:
    """Tell whether a column shows the person who was landed, as text or as bytes."""
    value = sql.SQL("encode({}, 'escape')" if (table, column) in BYTES else "{}::text").format(sql.Identifier(column))
    select = sql.SQL("select {} from {}").format(value, sql.Identifier(table))
    return any(SOMEBODY.search(text or "") for (text,) in lake.connection.execute(select))


def test_what_is_classed_none_shows_nobody(lake: Lake) -> None:
    """A person's phone, LID, name and text stand in many columns, each classed otherwise."""
    land_somebody(lake)
    shown = {(table, column) for table, column in there(lake) if shows(lake, table, column)}
    assert {(table, column) for table, column in shown if TABLES[table][column].kind == "none"} == set()
    assert shown == {(table, column) for table, columns in SHOWING.items() for column in columns.split()}
