"""What one body shows, by event type."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from factories import event, group, message, participant

from pipelines.landing.format import storable
from pipelines.parsing.extraction import Extracted, extract
from pipelines.parsing.jids import Person
from pipelines.parsing.rules import RULES


def shown(body: bytes) -> Extracted:
    """Extract a body as the loader does."""
    return extract(orjson.loads(storable(body)))


def as_expected(found: Extracted) -> dict[str, Any]:
    """Write what was extracted as the sample writes its expectations: times in milliseconds."""

    def addresses(person: Person | None) -> dict[str, str | None] | None:
        return {"lid": person.lid, "phone": person.phone} if person else None

    occurred_at = found.occurred_at and found.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "group_jid": found.group_jid,
        "participant": addresses(found.author),
        "push_name": found.push_name,
        "occurred_at": occurred_at,
        "members": [addresses(person) for person in found.members],
    }


def test_all_300_sample_requests_show_what_they_are_expected_to(sample: list[dict[str, Any]]) -> None:
    """NUL and lone surrogates, which no column can hold, are U+FFFD in names."""
    replaced = {"Nome \ud83d": "Nome \ufffd", "A\x00B": "A\ufffdB"}
    wrong = []
    for request in sample:
        expected = request["expect"] | {
            "push_name": replaced.get(request["expect"]["push_name"], request["expect"]["push_name"])
        }
        if as_expected(shown(request["body"].encode())) != expected:
            wrong.append(request["n"])
    assert (len(sample), wrong) == (300, [])


def test_every_rule_that_the_sample_has_is_used_by_it(sample: list[dict[str, Any]]) -> None:
    """The types of the sample that have no rule are those that show nobody and no time."""
    types = {json.loads(request["body"])["type"] for request in sample}
    assert types - set(RULES) == {"messages.update", "settings.update"}


def test_an_unknown_type_has_what_its_envelope_says() -> None:
    found = shown(event({"anything": 1}, kind="some.future-event", participant_jid="5500900000001:12@s.whatsapp.net"))
    assert (found.group_jid, found.author) == (group(1), Person(phone="5500900000001"))


def test_a_reaction_is_its_reactors_and_not_the_target_authors() -> None:
    payload = {
        "key": {"remoteJid": group(), "participant": participant(2).lid_jid},
        "reaction": {
            "key": {"remoteJid": group(), "participant": participant(1).lid_jid},
            "senderTimestampMs": {"low": -835234126, "high": 409, "unsigned": False},
        },
    }
    found = shown(event(payload, kind="messages.reaction"))
    assert (found.author, found.occurred_at) == (
        participant(1, phone=False),
        datetime(2025, 10, 10, 13, 2, 37, 234000, tzinfo=UTC),
    )


@pytest.mark.parametrize("stub", ["GROUP_PARTICIPANT_ADD", 27])
def test_a_membership_stub_shows_its_people_by_name_and_by_number(stub: object) -> None:
    parameters = [
        json.dumps({"id": participant(2).lid_jid, "phoneNumber": participant(2).phone_jid}),
        "5500900000003@c.us",
    ]
    payload = message(participant(1), messageStubType=stub, messageStubParameters=parameters)
    assert shown(event(payload)).members == (participant(2), participant(3, lid=False))


def test_other_stubs_parameters_are_nobody() -> None:
    payload = message(
        participant(1), messageStubType="GROUP_CHANGE_SUBJECT", messageStubParameters=["5500900000003@c.us"]
    )
    assert shown(event(payload)).members == ()


@pytest.mark.parametrize(
    ("stub", "parameters", "subject"),
    [("GROUP_CHANGE_SUBJECT", ["Nome"], "Nome"), (21, ["Nome"], "Nome"), ("GROUP_CREATE", ["Nome"], "Nome"),
     (20, ["Nome"], "Nome"), (22, ["Nome"], None), (None, ["Nome"], None), (21, [" "], None), (21, [], None),
     (21, "Nome", None), (21, [{}], None)],
)  # fmt: skip
def test_a_stub_of_a_new_name_names_the_group(stub: object, parameters: object, subject: str | None) -> None:
    payload = message(participant(1), messageStubType=stub, messageStubParameters=parameters)
    assert shown(event(payload)).subject == subject


def test_a_stubs_parameter_with_half_a_surrogate_pair_shows_its_person() -> None:
    parameter = " " + json.dumps({"id": participant(2).lid_jid, "username": "a\ud83d"})
    payload = message(participant(1), messageStubType=27, messageStubParameters=[parameter])
    assert shown(event(payload)).members == (participant(2, phone=False),)


@pytest.mark.parametrize(
    ("stub", "name"),
    [(None, "Ana"), (0, "Ana"), ("UNKNOWN", "Ana"), (2, "Ana"), ("CIPHERTEXT", "Ana"), (1, None), ("REVOKE", None),
     (27, None), (9999, None), ([], None)],
)  # fmt: skip
def test_a_stub_names_nobody_but_for_a_message_that_could_not_be_decrypted(stub: object, name: str | None) -> None:
    assert shown(event(message(participant(1), pushName="Ana", messageStubType=stub))).push_name == name


def test_a_groups_contact_is_nobody() -> None:
    payload = {"id": group(), "lid": participant(1).lid_jid}
    assert shown(event(payload, kind="contacts.update")).members == ()


def test_group_metadata_shows_its_owners_pair_but_not_as_a_member() -> None:
    payload = {"id": group(), "subject": "Nome", "owner": participant(1).lid_jid, "ownerPn": participant(1).phone_jid,
               "participants": [{"id": participant(2).lid_jid}]}  # fmt: skip
    found = shown(event(payload, kind="groups.metadata"))
    assert (found.members, found.pairs, found.subject, found.is_full_metadata) == (
        (participant(2, phone=False),),
        (participant(1),),
        "Nome",
        True,
    )


def test_a_hidden_number_is_no_phone() -> None:
    payload = {"id": group(), "participants": [{"id": participant(2).lid_jid, "jid": ""}]}
    assert shown(event(payload, kind="groups.update")).members == (participant(2, phone=False),)


def test_a_placeholder_that_could_not_be_decrypted_is_told_apart() -> None:
    assert shown(event(message(participant(), messageStubType=2))).undecrypted
    assert shown(event(message(participant(), messageStubType="CIPHERTEXT"))).undecrypted
    assert not shown(event(message(participant()))).undecrypted


def test_the_first_contracts_participant_wins_and_the_payload_adds_its_other_address() -> None:
    stated = participant(1).phone_jid
    agreeing = shown(event(message(participant(1), pushName="Ana"), participant_jid=stated))
    disagreeing = shown(event(message(participant(2), pushName="Bia"), participant_jid=stated))
    assert (agreeing.author, agreeing.push_name) == (participant(1), "Ana")
    assert (disagreeing.author, disagreeing.push_name) == (participant(1, lid=False), None)
    assert (agreeing.pairs, disagreeing.pairs) == ((), (participant(2),))
    assert shown(event(message(participant(2, phone=False)), participant_jid=stated)).pairs == ()


def test_a_name_in_a_payload_that_shows_nobody_is_that_of_the_first_contracts_participant() -> None:
    found = shown(event(message(pushName="Ana"), participant_jid=participant(1).phone_jid))
    assert (found.author, found.push_name) == (participant(1, lid=False), "Ana")


def test_in_a_direct_chat_the_other_side_is_the_author_of_what_we_did_not_send() -> None:
    theirs = {"key": {"remoteJid": participant(1).lid_jid, "fromMe": False, "senderPn": participant(1).phone_jid}}
    ours = {"key": {"remoteJid": participant(1).lid_jid, "fromMe": True}}
    assert shown(event(theirs, chat=None)).author == participant(1)
    assert shown(event(ours, chat=None)).author is None


@pytest.mark.parametrize(
    "payload",
    [None, True, 0, "", [], {}, [[]], {"key": []}, {"key": {"participant": {}}}, {"participants": {"id": 1}},
     {"messageStubType": [], "messageStubParameters": [None, 1, "{", "{}", "[]"]}, {"messageStubType": {}},
     {"update": []}, {"update": {"message": 1, "pollUpdates": {}}}, {"update": {"pollUpdates": [[]]}},
     {"presences": []}, {"messageTimestamp": {"low": "x", "high": None}}, {"pushName": [], "subject": 1, "name": {}}],
)  # fmt: skip
@pytest.mark.parametrize("kind", [*RULES, "messages.update", "unknown"])
def test_no_payload_of_any_shape_breaks_a_rule(kind: str, payload: object) -> None:
    found = shown(
        orjson.dumps({"type": kind, "payload": payload, "chat_jid": 7, "participant_jid": [], "occurred_at": {}})
    )
    assert (found.group_jid, found.author, found.occurred_at) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("  Ana ", "  Ana "),
        (" \t", None),
        (" " * 300 + "x", None),
        ("x" * 300, "x" * 255),
        ("\0", None),
        ("\0 \0", None),
        ("A\0B", "A\ufffdB"),
    ],
)
def test_a_name_is_never_blank(name: str, taken: str | None) -> None:
    assert shown(event(message(participant(1), pushName=name))).push_name == taken
