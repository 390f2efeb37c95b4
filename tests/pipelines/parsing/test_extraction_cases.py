"""Bodies that look like more, or like less, than they show: each with the right reading."""

import json
from typing import Any

import orjson
import pytest
from factories import event, group, message, participant
from project import ROOT

from pipelines.parsing.extraction import EPOCH, Extracted, extract
from pipelines.parsing.jids import Person

FILE = ROOT / "tests" / "data" / "extraction_cases.jsonl"
CASES = [json.loads(text) for text in FILE.read_bytes().splitlines()]
ADMIN, GUEST = participant(9), participant(1)
ADMIN_LID, GUEST_LID = participant(9, phone=False), participant(1, phone=False)
STUB = "GROUP_MEMBERSHIP_JOIN_APPROVAL_REQUEST_NON_ADMIN_ADD"


def shown(payload: dict[str, Any], kind: str = "messages.upsert", **envelope: Any) -> Extracted:
    """Extract a body of this payload."""
    return extract(orjson.loads(event(payload, kind=kind, **envelope)))


def addresses(person: Person | None) -> dict[str, str | None] | None:
    """Write a person as the cases do."""
    return {"lid": person.lid, "phone": person.phone} if person else None


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_body_that_once_was_read_wrongly(case: dict[str, Any]) -> None:
    found = extract(case["body"])
    read = {
        "author": addresses(found.author),
        "members": [addresses(member) for member in found.members],
        "push_name": found.push_name,
        "is_full_metadata": found.is_full_metadata,
    }
    assert {name: read[name] for name in case["expect"]} == case["expect"]


def join_request(author: str | None, action: str | None, method: str | None = None, **others: Any) -> dict[str, Any]:
    """Return a join request for the guest's LID beside a phone."""
    named = {"id": group(), "author": author, "participant": GUEST.lid_jid, "action": action, "method": method}
    return {**named, "participantPn": GUEST.phone_jid, **others}


@pytest.mark.parametrize(
    ("payload", "requester"),
    [
        (join_request(GUEST.lid_jid, "created", "invite_link"), GUEST),
        (join_request(GUEST.phone_jid, "created", "invite_link"), GUEST),
        (join_request(GUEST.lid_jid, "revoked"), GUEST),
        (join_request(None, "created"), GUEST),
        (join_request(GUEST.phone_jid, "created", "non_admin_add"), GUEST_LID),
        (join_request(ADMIN.lid_jid, "created", "non_admin_add"), GUEST_LID),
        (join_request(ADMIN.lid_jid, "created", "invite_link"), GUEST_LID),
        (join_request(ADMIN.lid_jid, "rejected"), GUEST_LID),
        (join_request(ADMIN.lid_jid, "rejected", participantPn=ADMIN.phone_jid), GUEST_LID),
        (join_request(ADMIN.phone_jid, "rejected", participantPn=ADMIN.phone_jid), GUEST_LID),
        (join_request(ADMIN.phone_jid, "approved", participantPn=ADMIN.phone_jid), GUEST_LID),
        (join_request(None, "rejected"), GUEST_LID),
        (join_request(ADMIN.lid_jid, "rejected", participant=GUEST.phone_jid), participant(1, lid=False)),
    ],
)
def test_a_requester_has_the_phone_only_where_nobody_else_acted(payload: dict[str, Any], requester: Person) -> None:
    assert shown(payload, "group.join-request").members == (requester,)


@pytest.mark.parametrize("stub", [STUB, 172])
@pytest.mark.parametrize(
    ("author", "action", "requester"),
    [(GUEST_LID, ["created", "invite_link"], GUEST), (ADMIN_LID, ["rejected"], GUEST_LID),
     (ADMIN_LID, ["created", "non_admin_add"], GUEST_LID), (GUEST_LID, ["revoked"], GUEST),
     (ADMIN_LID, [], GUEST_LID)],
)  # fmt: skip
def test_the_stub_of_a_join_request_is_read_the_same(
    stub: object, author: Person, action: list[str], requester: Person
) -> None:
    parameters = [json.dumps({"lid": GUEST.lid_jid, "pn": GUEST.phone_jid}), *action]
    payload = message(author, messageStubType=stub, messageStubParameters=parameters)
    assert shown(payload).members == (requester,)


@pytest.mark.parametrize(
    ("status", "author"),
    [("offer", GUEST), ("timeout", GUEST), (None, GUEST), ("accept", GUEST_LID), ("reject", GUEST_LID),
     ("terminate", GUEST_LID), ("ringing", GUEST_LID)],
)  # fmt: skip
def test_the_callers_phone_is_not_that_of_whoever_answers(status: str | None, author: Person) -> None:
    payload = {"from": GUEST.lid_jid, "callerPn": GUEST.phone_jid, "status": status}
    assert shown(payload, "call").author == author


@pytest.mark.parametrize("participants", [[], None, {}, [None], ["120363000000000001@g.us"], [{"admin": "admin"}]])
def test_metadata_without_participants_describes_nobody(participants: object) -> None:
    payload = {"id": group(), "subjectTime": 1779000000, "size": 1795, "participants": participants}
    found = shown(payload, "groups.update")
    assert (found.is_full_metadata, found.members, found.descriptions) == (False, (), ())


@pytest.mark.parametrize(
    "name",
    ["-", " - ", "-\u200e", "\u200e", "\u200b\u200b", "\u3164", "\u115f\u1160", "\uffa0", "\u2800", "\ufe0f", "\u00ad",
     "\u2066\u2069", "\ufeff", "\u034f", "\U000e0020", "\u00a0", "\x07", "\u2028", "\u2029", "\u17b4\u17b5"],
)  # fmt: skip
def test_a_name_that_shows_nothing_is_none(name: str) -> None:
    assert shown(message(participant(1), pushName=name)).push_name is None


@pytest.mark.parametrize("name", ["--", "- -", "\u200eAna", "👩‍👩‍👧", "अ", "❤️", "-Ana-", "\ue001", "_"])
def test_a_name_that_shows_something_is_taken_as_it_is(name: str) -> None:
    assert shown(message(participant(1), pushName=name)).push_name == name


@pytest.mark.parametrize(("first", "last"), [(0x180B, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF)])
def test_every_variation_selector_shows_nothing_and_what_stands_beside_them_does(first: int, last: int) -> None:
    names = map(chr, (first - 1, first, last, last + 1))
    shows = [shown(message(participant(1), pushName=name)).push_name is not None for name in names]
    assert shows == [True, False, False, True]


def test_a_group_may_be_named_by_a_hyphen_and_not_by_nothing() -> None:
    assert shown({"id": group(), "subject": "-"}, "groups.update").subject == "-"
    assert shown({"id": group(), "subject": "\u3164"}, "groups.update").subject is None


def as_phone(person: Person) -> str:
    """Write a person's LID as if it were a phone."""
    return f"{person.lid}@s.whatsapp.net"


@pytest.mark.parametrize("stated", [GUEST.lid, f"+{GUEST.lid}", as_phone(GUEST), f"{GUEST.lid}:3@c.us"])
@pytest.mark.parametrize(
    ("payload", "author"),
    [
        (message(GUEST_LID), GUEST_LID),
        (message(GUEST), GUEST),
        ({"participants": [{"id": GUEST.lid_jid, "phoneNumber": GUEST.phone_jid}]}, GUEST),
        ({"anywhere": [{"at": {f"{GUEST.lid}:12@lid": True}}]}, GUEST_LID),
    ],
)
def test_a_stated_phone_with_the_digits_of_a_shown_lid_is_that_lid(
    stated: str, payload: dict[str, Any], author: Person
) -> None:
    kind = "group-participants.update" if "participants" in payload else "messages.upsert"
    assert shown(payload, kind, chat=None, participant_jid=stated).author == author


def test_a_stated_phone_that_is_no_shown_lid_stays_a_phone() -> None:
    payload = message(ADMIN, about=f"{GUEST.phone}0@lid")
    assert shown(payload, participant_jid=GUEST.phone).author == participant(1, lid=False)


def test_a_lid_written_as_a_phone_elsewhere_in_the_body_is_the_lid() -> None:
    roster = [{"id": GUEST.lid_jid, "phoneNumber": GUEST.phone_jid}, as_phone(GUEST), {"id": ADMIN.lid_jid}]
    found = shown({"id": group(), "author": as_phone(ADMIN), "participants": roster}, "group-participants.update")
    assert (found.author, found.members) == (ADMIN_LID, (GUEST, GUEST, ADMIN_LID))


def test_a_lid_written_as_a_phone_by_one_other_in_the_body_is_the_lid() -> None:
    found = shown({"author": as_phone(ADMIN), "participants": [ADMIN.lid_jid]}, "group-participants.update")
    assert (found.author, found.members) == (ADMIN_LID, (ADMIN_LID,))


@pytest.mark.parametrize("chat", ["status@broadcast", "1779000000@broadcast"])
def test_where_the_chat_is_no_group_its_other_address_is_the_senders(chat: str) -> None:
    key = {"remoteJid": chat, "remoteJidAlt": GUEST.phone_jid, "fromMe": False, "participant": GUEST.lid_jid}
    assert shown({"key": key}, chat=chat).author == GUEST
    assert shown({"key": key, "update": {"message": None}}, "messages.update", chat=chat).author == GUEST
    assert shown({"key": {}, "reaction": {"key": key}}, "messages.reaction", chat=chat).author == GUEST


def test_where_the_chat_is_a_group_its_other_address_is_nobodys() -> None:
    key = {"remoteJid": group(), "remoteJidAlt": ADMIN.phone_jid, "senderPn": ADMIN.phone_jid}
    assert shown({"key": {**key, "participant": GUEST.lid_jid}}).author == GUEST_LID
    assert shown({"key": key}).author is None


def test_the_other_address_of_a_chat_with_a_person_is_not_that_of_who_wrote_to_it() -> None:
    key = {"remoteJid": GUEST.lid_jid, "remoteJidAlt": GUEST.phone_jid, "fromMe": True, "participant": ADMIN.lid_jid}
    assert shown({"key": key}, chat=None).author == ADMIN_LID


@pytest.mark.parametrize(("chat", "ours"), [(GUEST.lid_jid, False), ("status@broadcast", True)])
def test_a_sender_named_beside_the_chat_has_its_other_address_but_in_what_we_wrote_to_a_person(
    chat: str, ours: bool
) -> None:
    key = {"remoteJid": chat, "remoteJidAlt": GUEST.phone_jid, "fromMe": ours, "participant": GUEST.lid_jid}
    assert shown({"key": key}, chat=None).author == GUEST


@pytest.mark.parametrize(
    ("envelope", "chat"),
    [({"chat": group(3)}, group(3)), ({"chat": "status@broadcast"}, "status@broadcast"), ({"chat": None}, None),
     ({"chat": None, "group_jid": group(4)}, group(4)), ({"chat": " x "}, " x "), ({"chat": ""}, "")],
)  # fmt: skip
def test_the_envelopes_chat_is_kept_as_sent(envelope: dict[str, Any], chat: str | None) -> None:
    assert shown({}, "unknown", **envelope).chat_jid == chat


def test_contacts_and_roster_entries_describe_people_and_changes_do_not() -> None:
    contact = {"id": GUEST.lid_jid, "phoneNumber": GUEST.phone_jid, "notify": "Ana"}
    entry = {"id": ADMIN.lid_jid, "admin": "superadmin"}
    roster = {"id": group(), "participants": [entry, GUEST.lid_jid]}
    assert shown(contact, "contacts.upsert").descriptions == ((GUEST, orjson.dumps(contact)),)
    assert shown(roster, "groups.metadata").descriptions == ((ADMIN_LID, orjson.dumps(entry)),)
    assert shown(roster, "group-participants.update").descriptions == ()


def test_an_object_too_deep_to_be_written_describes_nobody() -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"x": deep}
    found = shown({"id": GUEST.lid_jid, "deep": deep}, "contacts.upsert")
    assert (found.members, found.descriptions) == ((GUEST_LID,), ())


@pytest.mark.parametrize(
    ("times", "changed_at"),
    [({"subjectTime": 1779000000}, 1779000000), ({"subjectTime": "1779000000", "descTime": 1779000005}, 1779000005),
     ({"creation": 1779000009, "subjectTime": None, "descTime": 1}, 1779000009), ({}, 0)],
)  # fmt: skip
def test_metadata_names_its_latest_change(times: dict[str, Any], changed_at: int) -> None:
    found = shown({"id": group(), "participants": [GUEST.lid_jid], **times}, "groups.metadata")
    assert found.changed_at is not None
    assert (found.changed_at - EPOCH).total_seconds() == changed_at
