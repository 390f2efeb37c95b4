"""Without its content a body still shows type, people, times and kind, and nothing that was written."""

import json
from typing import Any

import orjson
import pytest
from factories import event, group, message, participant

from pipelines.landing.format import storable
from pipelines.parsing.extraction import extract
from pipelines.redaction.facts import facts

ANA, BIA = participant(1), participant(2)
KEY = {"id": "3EB0", "fromMe": False}
GONE = {"erased": True}
AT = "1779336842000"
SECRET = "segredo"


def of(payload: Any, **envelope: Any) -> dict[str, Any]:
    """Return what is left of a payload in a body."""
    left: dict[str, Any] = json.loads(facts(event(payload, **envelope)))
    return left


def test_what_extraction_reads_stays_and_it_is_done_once(sample: list[dict[str, Any]]) -> None:
    for request in sample:
        body = storable(request["body"].encode("utf-8", "surrogatepass"))
        left = facts(body)
        assert extract(orjson.loads(left)) == extract(orjson.loads(body)), request["n"]
        assert facts(left) is left


@pytest.mark.parametrize(
    ("content", "left"),
    [
        ({"conversation": SECRET}, {"conversation": GONE}),
        (
            {"imageMessage": {"caption": SECRET, "mimetype": "x", "url": "https://x", "fileLength": "12", "height": 3}},
            {"imageMessage": {"fileLength": "12"}},
        ),
        (
            {"audioMessage": {"ptt": True, "seconds": 4, "mediaKey": SECRET}},
            {"audioMessage": {"ptt": True, "seconds": 4}},
        ),
        (
            {"extendedTextMessage": {"text": SECRET, "contextInfo": {
                "stanzaId": "3EB0", "participant": f"{BIA.lid}@lid", "quotedMessage": {"conversation": SECRET},
                "mentionedJid": [f"{ANA.lid}@lid", SECRET], "isForwarded": True, "forwardingScore": 2,
            }}},
            {"extendedTextMessage": {"contextInfo": {
                "stanzaId": "3EB0", "participant": f"{BIA.lid}@lid", "mentionedJid": [f"{ANA.lid}@lid"],
                "isForwarded": True, "forwardingScore": 2,
            }}},
        ),
        (
            {"ephemeralMessage": {"message": {"conversation": SECRET}}},
            {"ephemeralMessage": {"message": {"conversation": GONE}}},
        ),
        (
            {"reactionMessage": {"key": KEY, "text": "❤", "senderTimestampMs": AT}},
            {"reactionMessage": {"key": KEY, "text": "[erased]", "senderTimestampMs": AT}},
        ),
        ({"reactionMessage": {"key": KEY, "text": ""}}, {"reactionMessage": {"key": KEY, "text": ""}}),
        (
            {"protocolMessage": {"key": KEY, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": SECRET}}},
            {"protocolMessage": {"key": KEY, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": GONE}}},
        ),
        ({"protocolMessage": {"key": KEY, "type": 0}}, {"protocolMessage": {"key": KEY, "type": 0}}),
        ({SECRET: SECRET, "x": {"text": SECRET}}, GONE),
        ({"messageContextInfo": {"x": SECRET}}, {}),
        (SECRET, GONE),
        (None, None),
    ],
)  # fmt: skip
def test_of_a_message_its_kind_stays_and_whom_it_is_about(content: Any, left: Any) -> None:
    assert of(message(ANA, message=content))["payload"] == message(ANA, message=left)


@pytest.mark.parametrize(
    ("payload", "kind"),
    [
        (message(ANA, reactions=[{"text": SECRET}], status=f"um {SECRET}", SECRET=SECRET), "messages.upsert"),
        (message(ANA, messageStubType="GROUP_CHANGE_DESCRIPTION", messageStubParameters=[SECRET]), "messages.upsert"),
        ({"id": group(), "messages": [{"message": message(ANA, text=SECRET)}]}, "chats.update"),
        ({"id": group(), "messages": [SECRET], "update": SECRET}, "chats.update"),
        ({"key": {"id": "A"}, "update": {"message": {"conversation": SECRET}, "text": SECRET}}, "messages.update"),
        ({"key": {"id": "A"}, "reaction": {"text": SECRET, "key": {"id": "B"}}}, "messages.reaction"),
        ({"id": group(), "subject": "x", "desc": SECRET, "participants": []}, "groups.metadata"),
        ({"text": SECRET}, "unknown"),
        (SECRET, "messages.upsert"),
        ([SECRET], "messages.upsert"),
    ],
)
def test_nothing_that_was_written_is_left(payload: Any, kind: str) -> None:
    body = event(payload, kind=kind, more=SECRET)
    assert SECRET in body.decode()
    assert SECRET not in facts(body).decode()
    assert extract(orjson.loads(facts(body))) == extract(orjson.loads(body))


def test_what_describes_people_stays() -> None:
    contact = {"id": f"{ANA.lid}@lid", "notify": "Ana", "status": "oi"}
    body = event(contact, kind="contacts.upsert", chat=None)
    assert facts(body) is body
    members = {"id": group(), "subject": "Grupo", "participants": [{"id": f"{ANA.lid}@lid", "notify": "Ana"}]}
    assert of(members, kind="groups.metadata")["payload"] == members


def test_a_body_that_is_no_object_leaves_nothing() -> None:
    assert facts(b'["segredo"]') == b"{}"
    assert json.loads(facts(b'{"type":["segredo"],"payload":null}')) == {"payload": None}
