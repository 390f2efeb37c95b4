"""Each column of the lake, classed by what it may say of a person. docs/privacy.md shows it.

Belongs here: the class, and the reason where it isn't obvious. Not: what a column means (snapshots.schemas, the
database's comments), what an erasure does with it. A class is of the column by itself: beside a personal one of the
same row, what is classed none describes that person too.
"""

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

Class = Literal["personal", "content", "none"]
CLASSES: Mapping[Class, str] = {
    "personal": "identifies or describes a person",
    "content": "what people wrote or sent, or may hold anything",
    "none": "neither by itself",
}


class Column(NamedTuple):
    """Class of a column, and the reason for it."""

    kind: Class
    reason: str = ""


def _classed(
    none: str = "", personal: Mapping[str, str] | None = None, content: Mapping[str, str] | None = None
) -> dict[str, Column]:
    """Return the columns of a place; raise ValueError for one that has two classes."""
    found: dict[str, Column] = {}
    named = [(name, Column("none")) for name in none.split()]
    named += [(name, Column("personal", reason)) for name, reason in (personal or {}).items()]
    named += [(name, Column("content", reason)) for name, reason in (content or {}).items()]
    for name, column in named:
        if name in found:
            raise ValueError(f"{name} has two classes")
        found[name] = column
    return found


# Ids of events are plain UUIDs of version 5 that the collector makes of what happened.
_EVENT_ID = "hash without a key of what happened, and to whom: a guess of that can be tried"
_EVENT_BODY = "hash without a key of the body: a guess of it can be tried"
_AUTHOR = "author's phone or LID"
_PERSON = "stands for one person as long as the tables live"
_SEEN = "when the person of this row was seen"
_STAFF = "who did it, of the staff"

# Tables and views of the database. A snapshot's columns have the class of its table's.
TABLES: Mapping[str, Mapping[str, Column]] = {
    "whatsapp_events": _classed(
        "id type group_id tenant_id occurred_at received_at last_received_at deliveries payload_sanitized"
        " body_received_at undecrypted landing_key landing_line",
        personal={
            "event_id": _EVENT_ID,
            "participant_id": _PERSON,
            "participant_jid": _AUTHOR,
            "chat_jid": "a direct chat's is a person's phone or LID; an old group's holds its creator's phone",
            "body_sha256": _EVENT_BODY,
        },
        content={"payload": "the event whole: texts, names, phones, rosters, quotes, contact cards, previews"},
    ),
    "whatsapp_event_revisions": _classed(
        "undecrypted received_at landing_key landing_line",
        personal={"event_id": _EVENT_ID, "body_sha256": _EVENT_BODY},
    ),
    "whatsapp_groups": _classed(
        "id tenant_id first_seen_at last_seen_at named_timed named_at changed_at described_at",
        personal={
            "external_jid": "an old group's id holds its creator's phone",
            "named_by": _EVENT_ID,
            "described_by": _EVENT_ID,
            "described_sha256": _EVENT_BODY,
        },
        content={
            "display_name": "written by a member; may be a person's name",
            "internal_name": "written by the community; may be anything",
            "payload": "metadata whole: roster with phones and LIDs, owner, description",
        },
    ),
    "whatsapp_participants": _classed(
        personal={
            "id": _PERSON,
            "external_jid": "phone or LID",
            "push_name": "name that the person shows",
            "identity_id": "the person in another system",
            "payload": "contact or roster entry: addresses, names, marks",
            "first_seen_at": _SEEN,
            "last_seen_at": _SEEN,
        },
    ),
    "whatsapp_participant_jids": _classed(
        personal={
            "jid": "phone or LID",
            "participant_id": _PERSON,
            "push_name": "name that the person shows",
            "named_at": "when the person wrote",
            "named_by": _EVENT_ID,
            "payload": "contact or roster entry: addresses, names, marks",
            "described_at": _SEEN,
            "described_by": _EVENT_ID,
            "described_sha256": "hash without a key of the entry, which is short: a phone can be found by trying all",
            "first_seen_at": _SEEN,
            "last_seen_at": _SEEN,
        },
    ),
    "whatsapp_jid_pairs": _classed(
        personal={
            "lid_jid": "LID",
            "phone_jid": "phone",
            "observed_at": "when the person was seen with both",
            "event_id": _EVENT_ID,
        },
    ),
    "whatsapp_messages": _classed(
        "message_id group_id sent_at sent_at_local kind text_length reply_to mentions media_kind bytes seconds"
        " forwarded forwarding_score edited_at deleted_at reactions undecrypted text_recovered",
        personal={
            "event_id": _EVENT_ID,
            "group_jid": "an old group's id holds its creator's phone",
            "chat_jid": "a direct chat's is a person's phone or LID; an old group's holds its creator's phone",
            "participant_id": _PERSON,
            "participant_jid": _AUTHOR,
            "from_me": "whether the owner of the collector's account wrote it",
            "reply_to_jid": "phone or LID of whoever is quoted",
            "mentioned_jids": "phones or LIDs of those mentioned",
            "deleted_by": "phone or LID of whoever revoked it",
            "deleted_by_id": _PERSON,
            "reacted_by": "phones or LIDs of those who reacted",
        },
        content={
            "text": "as written, also after a revoke",
            "edited_text": "as written",
            "reaction_emojis": "as chosen",
            "media_type": "given by the sender; may be anything",
        },
    ),
    "whatsapp_membership_changes": _classed(
        "message_id group_id changed_at changed_at_local",
        personal={
            "event_id": _EVENT_ID,
            "group_jid": "an old group's id holds its creator's phone",
            "kind": "what happened to the person of this row: joined, left, was removed",
            "participant_id": _PERSON,
            "participant_jid": "phone or LID of the person affected",
            "actor_id": _PERSON,
            "actor_jid": "phone or LID of whoever did it",
        },
    ),
    "quarantined_events": _classed(
        "id landing_key line_number reason first_seen attempts state resolved_at",
        personal={"resolved_by": _STAFF},
        content={
            "raw": "bytes of a line, or the first 64 KiB of a file: a phone in base64 is found by no search of text",
            "detail": "Postgres' own words, where it refused a line, may repeat a value of it",
            "resolved_reason": "written by the staff; may be anything",
        },
    ),
    "landing_files": _classed(
        "key etag size sha256 lines loaded duplicates quarantined loaded_at run_id rules",
    ),
    "landing_alarms": _classed("key kind etag noted_at"),
    "landing_losses": _classed(
        "id key lines sha256 noted_at",
        personal={"accepted_by": _STAFF},
        content={"reason": "written by the staff; may be anything"},
    ),
    "landing_listings": _classed("finished_at files pending"),
    "pending_hours": _classed("hour noted_at bytes"),
    "run_heartbeats": _classed("run_id host beaten_at silent_since"),
    "event_days": _classed("received_on revision redelivered_on"),
    "state_revision": _classed("one revision"),
    "snapshot_files": _classed("table date revision rows bytes written_at"),
    "erasure_state": _classed("one announced applied swept expired_below content_before content_swept"),
    "access_log": _classed(
        "id at action",
        content={"reference": "the ticket, as typed by the staff; it leads to the person"},
        personal={"by": _STAFF, "subject": "hash with `ERASURE_KEY`: who has that finds a phone by trying all"},
    ),
    "schema_migrations": _classed("version"),
}

# Columns of snapshots that no table has.
ONLY_IN_SNAPSHOTS: Mapping[str, Mapping[str, Column]] = {
    "whatsapp_events": _classed(personal={"group_jid": "an old group's id holds its creator's phone"}),
    "payload_fields": _classed(
        "type type_events events share objects arrays strings numbers booleans nulls cut_off distinct first_seen_at"
        " last_seen_at",
        content={
            "path": "a key of a payload that reads like a field's name may be a person's",
            "example": "shape of one value, without its letters and digits",
            "sketch": "made of hashes without a key: a list of guesses can be tried",
        },
    ),
}

# What isn't a table: landed lines (those that an erasure wrote, too), and the list of erasures in the landing bucket.
OBJECTS: Mapping[str, Mapping[str, Column]] = {
    "landed line": _classed(
        "received_at contract erased reason mac",
        personal={
            "event_id": _EVENT_ID,
            "signature": "hash of the body with the webhook secret: who has that can try a guess",
        },
        content={
            "body": "the event whole, byte for byte",
            "raw": "the body again, in base64: found by no search of text",
        },
    ),
    "metadata of a landing file": _classed("sha256 mac key_id"),
    "entry of the list of erasures": _classed(
        "id kind until at key_id lifted_at keeps",
        content={"reference": "the ticket, as typed by the staff; it leads to the person"},
        personal={
            "subjects": "hashes with `ERASURE_KEY`: who has that finds a phone by trying all",
            "by": _STAFF,
            "lifted_by": _STAFF,
        },
    ),
    "manifest of an erasure": _classed("key line old_sha256 new_sha256", personal={"event_id": _EVENT_ID}),
}


def of_snapshot(table: str, column: str) -> Column:
    """Return the class of a snapshot's column. Raises KeyError where it has none."""
    return ONLY_IN_SNAPSHOTS.get(table, {}).get(column) or TABLES[table][column]


def places() -> Iterator[tuple[str, Mapping[str, Column]]]:
    """Yield every place by its name, with its columns."""
    yield from OBJECTS.items()
    yield from TABLES.items()
    for table, columns in ONLY_IN_SNAPSHOTS.items():
        yield f"snapshot of {table}", columns
