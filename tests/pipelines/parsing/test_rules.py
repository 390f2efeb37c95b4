"""Every place where a type keeps something, one at a time: what is there is found, and nowhere else."""

import json
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from factories import event, group, message, participant

from pipelines.parsing.extraction import Extracted, extract
from pipelines.parsing.jids import Person

BOTH, LID, PHONE = participant(1), participant(1, phone=False), participant(1, lid=False)
OTHER = participant(2, phone=False)
SECONDS = 1779336842
MOMENT = datetime(2026, 5, 21, 4, 14, 2, tzinfo=UTC)
VOTE = "pollUpdateMessageKey"
RESPONSE = "eventResponseMessageKey"


def shown(payload: dict[str, Any], kind: str = "messages.upsert", chat: str | None = group()) -> Extracted:
    """Extract a body of this payload."""
    return extract(orjson.loads(event(payload, kind=kind, chat=chat)))


def update(what: dict[str, Any], **payload: Any) -> dict[str, Any]:
    """Return the payload of a messages.update."""
    return {"key": {"remoteJid": group()}, "update": what, **payload}


@pytest.mark.parametrize(
    ("kind", "payload", "author"),
    [
        ("messages.upsert", {"key": {"participant": LID.lid_jid}}, LID),
        ("messages.upsert", {"key": {"participantAlt": PHONE.phone_jid}}, PHONE),
        ("messages.upsert", {"key": {"participantPn": PHONE.phone_jid}}, PHONE),
        ("messages.upsert", {"key": {"participantLid": LID.lid_jid}}, LID),
        ("messages.upsert", {"key": {}, "participant": LID.lid_jid}, LID),
        ("messages.upsert", {"key": {"remoteJid": LID.lid_jid, "remoteJidAlt": PHONE.phone_jid}}, BOTH),
        ("messages.upsert", {"key": {"remoteJid": LID.lid_jid, "senderPn": PHONE.phone_jid}}, BOTH),
        ("messages.upsert", {"key": {"remoteJid": PHONE.phone_jid, "senderLid": LID.lid_jid}}, BOTH),
        ("messages.upsert", {"key": {"remoteJid": LID.lid_jid, "fromMe": True}}, None),
        ("messages.reaction", {"reaction": {"key": {"participant": LID.lid_jid}}}, LID),
        ("messages.media-update", {"key": {"participant": LID.lid_jid}}, LID),
        ("message-receipt.update", {"receipt": {"userJid": LID.lid_jid}}, LID),
        ("group-participants.update", {"author": LID.lid_jid, "authorPn": PHONE.phone_jid}, BOTH),
        ("group.join-request", {"author": LID.lid_jid, "authorPn": PHONE.phone_jid}, BOTH),
        ("group.member-tag.update", {"participant": LID.lid_jid, "participantAlt": PHONE.phone_jid}, BOTH),
        ("groups.metadata", {"author": LID.lid_jid, "authorPn": PHONE.phone_jid}, BOTH),
        ("groups.upsert", {"author": LID.lid_jid, "authorPn": PHONE.phone_jid}, BOTH),
        ("groups.update", {"author": LID.lid_jid, "authorPn": PHONE.phone_jid}, BOTH),
        ("call", {"from": LID.lid_jid}, LID),
        ("call", {"from": LID.lid_jid, "callerPn": PHONE.phone_jid, "status": "offer"}, BOTH),
        ("messages.update", update({"message": None}, key={"participant": LID.lid_jid}), LID),
        ("messages.update", update({"pollUpdates": [{VOTE: {"participant": LID.lid_jid}}]}), LID),
        ("messages.update", update({"eventResponses": [{RESPONSE: {"participant": LID.lid_jid}}]}), LID),
        ("messages.update", update({"status": 3}, key={"participant": LID.lid_jid}), None),
        ("chats.update", {"author": LID.lid_jid, "key": {"participant": LID.lid_jid}}, None),
        ("unknown", {"author": LID.lid_jid, "key": {"participant": LID.lid_jid}}, None),
    ],
)
def test_the_author_is_found_where_the_type_keeps_it(kind: str, payload: dict[str, Any], author: Person | None) -> None:
    assert shown(payload, kind).author == author


@pytest.mark.parametrize(
    ("kind", "payload", "occurred_at"),
    [
        ("messages.upsert", {"messageTimestamp": SECONDS}, MOMENT),
        ("messages.reaction", {"reaction": {"senderTimestampMs": SECONDS * 1000}}, MOMENT),
        ("message-receipt.update", {"receipt": {"readTimestamp": SECONDS, "receiptTimestamp": 1779000000}}, MOMENT),
        ("message-receipt.update", {"receipt": {"receiptTimestamp": SECONDS}}, MOMENT),
        ("group.member-tag.update", {"messageTimestamp": SECONDS}, MOMENT),
        ("chats.update", {"conversationTimestamp": SECONDS}, MOMENT),
        ("chats.upsert", {"conversationTimestamp": SECONDS}, None),
        ("call", {"date": "2026-05-21T04:14:02.000Z"}, MOMENT),
        ("messages.update", update({"message": None, "messageTimestamp": SECONDS}), MOMENT),
        ("messages.update", update({"pollUpdates": [{"senderTimestampMs": SECONDS * 1000}]}), MOMENT),
        ("messages.update", update({"eventResponses": [{"senderTimestampMs": SECONDS * 1000}]}), MOMENT),
        ("messages.update", update({"messageTimestamp": SECONDS}, messageTimestamp=SECONDS), None),
        ("groups.update", {"messageTimestamp": SECONDS, "subjectTime": SECONDS}, None),
    ],
)
def test_the_time_is_found_where_the_type_keeps_it(
    kind: str, payload: dict[str, Any], occurred_at: datetime | None
) -> None:
    assert shown(payload, kind).occurred_at == occurred_at


@pytest.mark.parametrize(
    ("kind", "payload", "members"),
    [
        ("group-participants.update", {"participants": [LID.lid_jid, {"id": OTHER.lid_jid}]}, (LID, OTHER)),
        ("groups.upsert", {"participants": [LID.lid_jid, {"id": OTHER.lid_jid}]}, (LID, OTHER)),
        ("groups.update", {"participants": [LID.lid_jid]}, (LID,)),
        ("contacts.upsert", {"id": LID.lid_jid, "phoneNumber": PHONE.phone_jid}, (BOTH,)),
        ("contacts.update", {"id": LID.lid_jid, "pn": PHONE.phone_jid}, (BOTH,)),
        ("contacts.update", {"id": LID.lid_jid, "jid": PHONE.phone_jid}, (BOTH,)),
        ("contacts.update", {"id": PHONE.phone_jid, "lid": LID.lid_jid}, (BOTH,)),
        ("presence.update", {"presences": {LID.lid_jid: {}, OTHER.lid_jid: {}, group(): {}}}, (LID, OTHER)),
        ("presence.update", {"presences": [LID.lid_jid]}, ()),
        ("lid-mapping.update", {"lid": LID.lid_jid, "pn": PHONE.phone_jid}, (BOTH,)),
        ("chats.phoneNumberShare", {"lid": LID.lid_jid, "jid": PHONE.phone_jid}, (BOTH,)),
        ("group.join-request", {"participant": LID.lid_jid, "participantPn": PHONE.phone_jid}, (BOTH,)),
    ],
)
def test_other_people_are_found_where_the_type_keeps_them(
    kind: str, payload: dict[str, Any], members: tuple[Person, ...]
) -> None:
    assert shown(payload, kind).members == members


@pytest.mark.parametrize(
    ("kind", "payload", "subject", "subject_at"),
    [
        ("groups.metadata", {"subject": "Nome", "subjectTime": SECONDS}, "Nome", MOMENT),
        ("groups.upsert", {"subject": "Nome", "subjectTime": SECONDS}, "Nome", MOMENT),
        ("groups.update", {"subject": "Nome", "subjectTime": SECONDS}, "Nome", MOMENT),
        ("groups.update", {"subject": "Nome"}, "Nome", None),
        ("chats.update", {"name": "Nome", "conversationTimestamp": SECONDS}, "Nome", None),
        ("chats.upsert", {"name": "Nome"}, "Nome", None),
        ("contacts.update", {"name": "Nome", "subject": "Nome"}, None, None),
        ("messages.upsert", message(messageStubType=21, messageStubParameters=["Nome"]), "Nome", MOMENT),
    ],
)
def test_the_groups_name_is_found_where_the_type_keeps_it(
    kind: str, payload: dict[str, Any], subject: str | None, subject_at: datetime | None
) -> None:
    assert (shown(payload, kind).subject, shown(payload, kind).subject_at) == (subject, subject_at)


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({"key": {"remoteJid": group(2)}, "id": group(3)}, group(2)),
        ({"id": group(2), "groupId": group(3)}, group(2)),
        ({"groupId": group(2), "groupJid": group(3)}, group(2)),
        ({"groupJid": group(2), "association": {"chatId": group(3)}}, group(2)),
        ({"association": {"chatId": group(2)}, "chatId": group(3)}, group(2)),
        ({"chatId": group(2)}, group(2)),
        ({"id": LID.lid_jid, "chatId": group(2)}, group(2)),
    ],
)
def test_the_group_is_the_envelopes_else_the_first_that_the_payload_names(payload: dict[str, Any], found: str) -> None:
    assert shown(payload, "unknown", chat=group(1)).group_jid == group(1)
    assert shown(payload, "unknown", chat=None).group_jid == found
    assert shown(payload, "unknown", chat=LID.lid_jid).group_jid == found


@pytest.mark.parametrize("role", ["owner", "subjectOwner", "descOwner"])
@pytest.mark.parametrize("beside", ["Pn", "Jid"])
def test_each_role_in_a_groups_metadata_may_show_a_pair(role: str, beside: str) -> None:
    payload = {"id": group(), role: LID.lid_jid, f"{role}{beside}": PHONE.phone_jid}
    assert shown(payload, "groups.metadata").pairs == (BOTH,)
    assert shown(payload, "group-participants.update").pairs == ()
    assert shown({"id": group(), role: LID.lid_jid}, "groups.metadata").pairs == ()


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("GROUP_PARTICIPANT_ADD", 27),
        ("GROUP_PARTICIPANT_REMOVE", 28),
        ("GROUP_PARTICIPANT_PROMOTE", 29),
        ("GROUP_PARTICIPANT_DEMOTE", 30),
        ("GROUP_PARTICIPANT_INVITE", 31),
        ("GROUP_PARTICIPANT_LEAVE", 32),
        ("GROUP_PARTICIPANT_CHANGE_NUMBER", 33),
        ("GROUP_PARTICIPANT_ADD_REQUEST_JOIN", 71),
        ("GROUP_PARTICIPANT_LINKED_GROUP_JOIN", 141),
        ("GROUP_PARTICIPANT_JOINED_GROUP_AND_PARENT_GROUP", 151),
        ("GROUP_MEMBERSHIP_JOIN_APPROVAL_REQUEST_NON_ADMIN_ADD", 172),
    ],
)
def test_every_membership_stub_shows_its_people_by_name_and_by_number(name: str, number: int) -> None:
    for stub in (name, number):
        payload = message(OTHER, messageStubType=stub, messageStubParameters=[LID.lid_jid])
        assert shown(payload).members == (LID,)


@pytest.mark.parametrize("stub", [26, 34, 70, 72, 140, 142, 150, 152, 171, 173, 19, 20, 21, 22, 2, 1, 0, "UNKNOWN"])
def test_a_stub_of_any_other_number_shows_nobody(stub: object) -> None:
    assert shown(message(OTHER, messageStubType=stub, messageStubParameters=[LID.lid_jid])).members == ()


@pytest.mark.parametrize("stub", ["GROUP_PARTICIPANT_ADD_REQUEST_JOIN", 71])
def test_a_request_that_somebody_else_acted_on_has_no_phone(stub: object) -> None:
    parameters = [json.dumps({"lid": LID.lid_jid, "pn": PHONE.phone_jid}), "rejected"]
    assert shown(message(OTHER, messageStubType=stub, messageStubParameters=parameters)).members == (LID,)


@pytest.mark.parametrize(
    ("act", "requester"),
    [(["created", "invite_link"], BOTH), (["revoked"], BOTH), ([], BOTH), (["rejected", "created"], LID),
     (["created", "non_admin_add"], LID), (["approved"], LID)],
)  # fmt: skip
def test_where_nobody_is_named_the_act_tells_whether_it_was_the_requesters(act: list[str], requester: Person) -> None:
    parameters = [json.dumps({"lid": LID.lid_jid, "pn": PHONE.phone_jid}), *act]
    assert shown(message(messageStubType=172, messageStubParameters=parameters)).members == (requester,)


def test_a_member_in_the_stub_of_a_join_request_is_read_as_one() -> None:
    parameters = [json.dumps({"id": LID.lid_jid, "phoneNumber": PHONE.phone_jid}), "rejected"]
    assert shown(message(OTHER, messageStubType=172, messageStubParameters=parameters)).members == (BOTH,)


def test_who_asked_to_join_may_stand_beside_the_key() -> None:
    parameters = [json.dumps({"lid": LID.lid_jid, "pn": PHONE.phone_jid}), "revoked"]
    payload = message(None, messageStubType=172, messageStubParameters=parameters, participant=OTHER.lid_jid)
    assert shown(payload).members == (LID,)


def test_a_membership_stub_has_parameters_of_any_kind() -> None:
    parameters = [None, 1, {"id": LID.lid_jid}, "{", "[]", f'"{OTHER.lid_jid}"']
    assert shown(message(OTHER, messageStubType=27, messageStubParameters=parameters)).members == (LID,)
    assert shown(message(OTHER, messageStubType=27, messageStubParameters={"0": LID.lid_jid})).members == ()
