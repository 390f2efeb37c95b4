"""What becomes of each shape in which a body holds somebody who is to be forgotten, written out by hand."""

import base64
import json
from typing import Any

import pytest
from factories import event, event_id, group

from pipelines.redaction.search import may_hold
from pipelines.redaction.subjects import Subjects, digest, event_name, lid_name, message_name, phone_name
from pipelines.redaction.walker import numbers_left, redact

KEY = b"0123456789abcdef0123456789abcdef"
PHONE, LID = "5511987654321", "123456789012345"
ANA, ANA_LID = phone_name(PHONE), lid_name(LID)
RUI, RUI_LID = "5521912345678@s.whatsapp.net", "223456789012345@lid"
GROUP, OLD_GROUP = group(), f"{PHONE}-1500000000@g.us"
GONE: Any = {"erased": True}
ES, EL, E = "[erased]@s.whatsapp.net", "[erased]@lid", "[erased]"
TIME, AT = 1779336842, "2026-05-21T04:14:02+00:00"
SAID = {"conversation": "bom dia"}
KEY_OF_OTHER = {"remoteJid": GROUP, "fromMe": False, "id": "3EB0", "participant": RUI_LID, "participantAlt": RUI}
KEY_OF_SUBJECT = KEY_OF_OTHER | {"participant": ANA_LID, "participantAlt": ANA}
ERASED_KEY = KEY_OF_OTHER | {"participant": EL, "participantAlt": ES}


def subjects(*names: str) -> Subjects:
    """Return what an erasure of these names looks for."""
    by_name = any("@s." not in name and "@lid" not in name for name in names)
    return Subjects(KEY, [digest(KEY, name) for name in names], by_name=by_name)


SUBJECT = subjects(ANA, ANA_LID)


def redacted(body: bytes, who: Subjects = SUBJECT, name: str = "event") -> Any:
    """Redact a body and read it; whatever changes was looked for, and doesn't change a second time."""
    after = redact(who, event_id(name), body)
    assert redact(who, event_id(name), after) is after
    if after is not body and not who.by_name:
        assert may_hold(who, body)
    assert not list(numbers_left(who, after))
    return json.loads(after)


def said(message: Any, **payload: Any) -> dict[str, Any]:
    """Return a message that somebody else wrote."""
    return {"key": KEY_OF_OTHER, "messageTimestamp": TIME, "pushName": "Rui", "message": message, **payload}


def b64(text: str) -> str:
    """Write a text in base64."""
    return base64.b64encode(text.encode()).decode()


# The type, the payload, what is left of the payload.
OTHERS = {
    "nobody is in it": ("messages.upsert", said(SAID), said(SAID)),
    "bare digits in a text": (
        "messages.upsert",
        said({"conversation": f"liga {PHONE}!"}),
        said({"conversation": f"liga {E}!"}),
    ),
    "a mention": (
        "messages.upsert",
        said({"extendedTextMessage": {"text": f"oi @{LID}", "contextInfo": {"mentionedJid": [ANA_LID, RUI_LID]}}}),
        said({"extendedTextMessage": {"text": f"oi @{E}", "contextInfo": {"mentionedJid": [EL, RUI_LID]}}}),
    ),
    "a quote of the subject, in Baileys 7": (
        "messages.upsert",
        said(
            {
                "extendedTextMessage": {
                    "text": "é",
                    "contextInfo": {
                        "stanzaId": "3A",
                        "participant": ANA_LID,
                        "quotedMessage": {"conversation": "segredo"},
                    },
                }
            }
        ),
        said(
            {
                "extendedTextMessage": {
                    "text": "é",
                    "contextInfo": {"stanzaId": "3A", "participant": EL, "quotedMessage": GONE},
                }
            }
        ),
    ),
    "a quote of somebody else, who quotes the subject": (
        "messages.upsert",
        said(
            {
                "extendedTextMessage": {
                    "text": "é",
                    "contextInfo": {
                        "participant": RUI,
                        "quotedMessage": {
                            "extendedTextMessage": {
                                "text": "hm",
                                "contextInfo": {"participant": ANA, "quotedMessage": {"conversation": "segredo"}},
                            }
                        },
                    },
                }
            }
        ),
        said(
            {
                "extendedTextMessage": {
                    "text": "é",
                    "contextInfo": {
                        "participant": RUI,
                        "quotedMessage": {
                            "extendedTextMessage": {
                                "text": "hm",
                                "contextInfo": {"participant": ES, "quotedMessage": GONE},
                            }
                        },
                    },
                }
            }
        ),
    ),
    "a reaction to the subject's message, in a message": (
        "messages.upsert",
        said({"reactionMessage": {"key": KEY_OF_SUBJECT, "text": "👍", "senderTimestampMs": "1779336842000"}}),
        said({"reactionMessage": {"key": ERASED_KEY, "text": "👍", "senderTimestampMs": "1779336842000"}}),
    ),
    "a reaction to the subject's message": (
        "messages.reaction",
        {"key": KEY_OF_SUBJECT, "reaction": {"key": KEY_OF_OTHER, "text": "👍"}},
        {"key": ERASED_KEY, "reaction": {"key": KEY_OF_OTHER, "text": "👍"}},
    ),
    "the subject's reaction, merged into the message": (
        "messages.upsert",
        said(SAID, reactions=[{"key": KEY_OF_SUBJECT, "text": "👍"}, {"key": KEY_OF_OTHER, "text": "❤"}]),
        said(SAID, reactions=[GONE, {"key": KEY_OF_OTHER, "text": "❤"}]),
    ),
    "receipts, merged into the message": (
        "messages.upsert",
        said(SAID, userReceipt=[{"userJid": f"{PHONE}:12@s.whatsapp.net", "readTimestamp": TIME}, {"userJid": RUI}]),
        said(SAID, userReceipt=[GONE, {"userJid": RUI}]),
    ),
    "a message of the subject, revoked by an admin": (
        "messages.upsert",
        said({"protocolMessage": {"key": KEY_OF_SUBJECT, "type": "REVOKE"}}),
        said({"protocolMessage": {"key": ERASED_KEY, "type": "REVOKE"}}),
    ),
    "the update of a revoke by an admin": (
        "messages.update",
        {"key": KEY_OF_OTHER, "update": {"message": None, "messageStubType": 1, "key": KEY_OF_SUBJECT | {"id": "3B"}}},
        {"key": KEY_OF_OTHER, "update": {"message": None, "messageStubType": 1, "key": ERASED_KEY | {"id": "3B"}}},
    ),
    "a status of the subject's message": (
        "messages.update",
        {"key": KEY_OF_SUBJECT, "update": {"status": 3}},
        {"key": ERASED_KEY, "update": {"status": 3}},
    ),
    "a vote of the subject among others": (
        "messages.update",
        {
            "key": KEY_OF_OTHER,
            "update": {
                "pollUpdates": [
                    {"pollUpdateMessageKey": KEY_OF_OTHER, "vote": {"selectedOptions": ["AAAA"]}},
                    {"pollUpdateMessageKey": KEY_OF_SUBJECT, "vote": {"selectedOptions": ["BBBB"]}},
                ]
            },
        },
        {
            "key": KEY_OF_OTHER,
            "update": {
                "pollUpdates": [{"pollUpdateMessageKey": KEY_OF_OTHER, "vote": {"selectedOptions": ["AAAA"]}}, GONE]
            },
        },
    ),
    "a vote on the subject's poll": (
        "messages.upsert",
        said({"pollUpdateMessage": {"pollCreationMessageKey": KEY_OF_SUBJECT, "vote": {"encIv": "AAAA"}}}),
        said({"pollUpdateMessage": {"pollCreationMessageKey": ERASED_KEY, "vote": {"encIv": "AAAA"}}}),
    ),
    "a chat's update with a copy of the subject's message": (
        "chats.update",
        {
            "id": GROUP,
            "unreadCount": 1,
            "messages": [
                {"message": {"key": KEY_OF_SUBJECT, "message": SAID, "pushName": "Ana"}},
                {"message": {"key": KEY_OF_OTHER, "message": SAID, "pushName": "Rui"}},
            ],
        },
        {
            "id": GROUP,
            "unreadCount": 1,
            "messages": [{"message": GONE}, {"message": {"key": KEY_OF_OTHER, "message": SAID, "pushName": "Rui"}}],
        },
    ),
    "a stub of Baileys 7, with JSON as its parameters": (
        "messages.upsert",
        said(
            None,
            messageStubType=27,
            messageStubParameters=[
                json.dumps({"id": ANA_LID, "phoneNumber": ANA, "admin": None}),
                json.dumps({"id": RUI_LID, "phoneNumber": RUI}),
            ],
        ),
        said(
            None,
            messageStubType=27,
            messageStubParameters=['{"erased":true}', json.dumps({"id": RUI_LID, "phoneNumber": RUI})],
        ),
    ),
    "a stub of Baileys 6, with bare addresses": (
        "messages.upsert",
        said(None, messageStubType="GROUP_PARTICIPANT_REMOVE", messageStubParameters=[ANA, RUI]),
        said(None, messageStubType="GROUP_PARTICIPANT_REMOVE", messageStubParameters=[ES, RUI]),
    ),
    "a stub of what the subject did to somebody else": (
        "messages.upsert",
        {"key": KEY_OF_SUBJECT, "participant": f"{LID}:3@lid", "messageStubType": 28, "messageStubParameters": [RUI]},
        {"key": ERASED_KEY, "participant": "[erased]:3@lid", "messageStubType": 28, "messageStubParameters": [RUI]},
    ),
    "a request to join, in a stub": (
        "messages.upsert",
        said(
            None,
            messageStubType=172,
            messageStubParameters=[json.dumps({"lid": ANA_LID, "pn": ANA}), "created", "invite_link"],
        ),
        said(None, messageStubType=172, messageStubParameters=['{"erased":true}', "created", "invite_link"]),
    ),
    "a request to join": (
        "group.join-request",
        {
            "id": GROUP,
            "author": RUI_LID,
            "authorPn": RUI,
            "participant": ANA_LID,
            "participantPn": ANA,
            "action": "rejected",
        },
        {"id": GROUP, "author": RUI_LID, "authorPn": RUI, "participant": EL, "participantPn": ES, "action": "rejected"},
    ),
    "a change of participants in Baileys 6": (
        "group-participants.update",
        {"id": GROUP, "author": ANA, "participants": [ANA, RUI], "action": "add"},
        {"id": GROUP, "author": ES, "participants": [ES, RUI], "action": "add"},
    ),
    "a change of participants in Baileys 7": (
        "group-participants.update",
        {
            "id": GROUP,
            "author": RUI_LID,
            "authorUsername": "rui",
            "action": "add",
            "participants": [{"id": ANA_LID, "phoneNumber": ANA, "username": "ana", "admin": None}, {"id": RUI_LID}],
        },
        {
            "id": GROUP,
            "author": RUI_LID,
            "authorUsername": "rui",
            "action": "add",
            "participants": [GONE, {"id": RUI_LID}],
        },
    ),
    "metadata of a group that the subject made": (
        "groups.metadata",
        {
            "id": OLD_GROUP,
            "subject": "Vendas",
            "owner": ANA_LID,
            "ownerPn": ANA,
            "ownerUsername": "ana",
            "descOwner": RUI_LID,
            "descOwnerUsername": "rui",
            "creation": TIME,
            "participants": [{"id": RUI_LID, "admin": "admin"}, {"id": ANA, "lid": ANA_LID}],
        },
        {
            "id": "[erased]-1500000000@g.us",
            "subject": "Vendas",
            "owner": EL,
            "ownerPn": ES,
            "ownerUsername": E,
            "descOwner": RUI_LID,
            "descOwnerUsername": "rui",
            "creation": TIME,
            "participants": [{"id": RUI_LID, "admin": "admin"}, GONE],
        },
    ),
    "presence": (
        "presence.update",
        {
            "id": GROUP,
            "presences": {ANA_LID: {"lastKnownPresence": "composing"}, RUI_LID: {"lastKnownPresence": "available"}},
        },
        {"id": GROUP, "presences": {EL: GONE, RUI_LID: {"lastKnownPresence": "available"}}},
    ),
    "both addresses as keys, and a value that is no object": (
        "x",
        {"seen": {ANA: TIME, f"{PHONE}:2@s.whatsapp.net": [1], RUI_LID: 5}},
        {"seen": {ES: GONE, "[erased]:2@s.whatsapp.net": GONE, RUI_LID: 5}},
    ),
    "keys that are the same afterwards": (
        "x",
        {"seen": {ANA: 1, "+55 11 98765-4321@s.whatsapp.net": 2, RUI_LID: 5}},
        {"seen": {ES: GONE, f"+{ES}": GONE, RUI_LID: 5}},
    ),
    "a card of the subject": (
        "messages.upsert",
        said(
            {
                "contactMessage": {
                    "displayName": "Ana Souza",
                    "vcard": f"BEGIN:VCARD\nFN:Ana\nTEL;waid={PHONE}:+55 11 98765-4321\nEND:VCARD",
                }
            }
        ),
        said({"contactMessage": GONE}),
    ),
    "a card with the number as people write it alone": (
        "messages.upsert",
        said(
            {"contactMessage": {"displayName": "Ana", "vcard": "BEGIN:VCARD\nFN:Ana\nTEL:(11) 98765-4321\nEND:VCARD"}}
        ),
        said({"contactMessage": GONE}),
    ),
    "a card of the subject among others": (
        "messages.upsert",
        said(
            {
                "contactsArrayMessage": {
                    "displayName": "Ana e outro contato",
                    "contacts": [
                        {"displayName": "Ana", "vcard": f"TEL;waid={PHONE}:x"},
                        {"displayName": "Rui", "vcard": "TEL;waid=5521912345678:x"},
                    ],
                }
            }
        ),
        said(
            {
                "contactsArrayMessage": {
                    "displayName": E,
                    "contacts": [GONE, {"displayName": "Rui", "vcard": "TEL;waid=5521912345678:x"}],
                }
            }
        ),
    ),
    "bytes as a Buffer": (
        "x",
        {"media": {"type": "Buffer", "data": list(f"tel {PHONE}".encode())}, "iv": {"type": "Buffer", "data": [1]}},
        {"media": GONE, "iv": {"type": "Buffer", "data": [1]}},
    ),
    "bytes by their index": (
        "x",
        {"a": {str(at): byte for at, byte in enumerate(ANA.encode())}, "b": {"0": 1, "1": 2}},
        {"a": GONE, "b": {"0": 1, "1": 2}},
    ),
    "bytes in JSON in a string": (
        "x",
        {"a": json.dumps({"type": "Buffer", "data": list(PHONE.encode())})},
        {"a": '{"erased":true}'},
    ),
    "base64": ("x", {"a": b64(f"id={ANA};"), "b": b64("nobody at all here")}, {"a": E, "b": b64("nobody at all here")}),
    "base64 of a number without its country": ("x", {"a": b64("11987654321")}, {"a": E}),
    "base64 of base64": ("x", {"a": b64(b64(f"<{PHONE}>"))}, {"a": E}),
    "base64 of JSON with escapes": ("x", {"a": b64('{"id":"\\u0035511987654321"}')}, {"a": E}),
    "base64 after a line's end": ("x", {"a": f"foto:\n{b64('tel 5511987654321 x')}"}, {"a": f"foto:\n{E}"}),
    "base64 after letters that belong to it": ("x", {"a": f"https://x.y/z{b64(PHONE)}"}, {"a": f"https://x.{E}"}),
    "base64 of a line with an accent and a blank that isn't ASCII": (
        "x",
        {"a": b64("é +55\u00a011\u00a098765-4321")},
        {"a": E},
    ),
    "an integer, a negative one, a decimal one": (
        "x",
        {"a": [int(PHONE), -int(PHONE), int(LID), 1]},
        {"a": [None, None, None, 1]},
    ),
    "the LID written as a phone": ("x", {"from": f"{LID}@s.whatsapp.net"}, {"from": ES}),
    "other servers": (
        "x",
        {"a": [f"{PHONE}@c.us", f"{LID}_1:2@hosted.lid"]},
        {"a": ["[erased]@c.us", "[erased]_1:2@hosted.lid"]},
    ),
    "a text that looks like JSON and is none": (
        "x",
        {"a": f"[ok] {b64(PHONE + ' Ana')} {PHONE}"},
        {"a": f"[ok] {E} {E}"},
    ),
    "JSON in JSON in a string": (
        "x",
        {"a": json.dumps({"b": json.dumps([PHONE, "x"])})},
        {"a": '{"b":"[\\"[erased]\\",\\"x\\"]"}'},
    ),
    "digits of others around": ("x", {"a": f"2026 {PHONE} 5521912345678"}, {"a": f"2026 {E} 5521912345678"}),
    "a longer number that the subject's is a part of": (
        "x",
        {"a": f"9{PHONE}", "b": f"{PHONE}99"},
        {"a": f"9{PHONE}", "b": f"{PHONE}99"},
    ),
}


@pytest.mark.parametrize(("kind", "before", "after"), OTHERS.values(), ids=OTHERS)
def test_of_what_is_others_only_the_subject_goes(kind: str, before: Any, after: Any) -> None:
    assert redacted(event(before, kind=kind)) == {"type": kind, "chat_jid": GROUP, "payload": after}


OWN = {
    "a message, in Baileys 7": (
        "messages.upsert",
        {"key": KEY_OF_SUBJECT, "messageTimestamp": TIME, "message": SAID},
        AT,
    ),
    "a message, in Baileys 6.7": (
        "messages.upsert",
        {"key": {"participant": ANA_LID, "participantPn": ANA}, "messageTimestamp": str(TIME)},
        AT,
    ),
    "a message that this client sent": (
        "messages.upsert",
        {"key": {"fromMe": True}, "participant": ANA, "message": SAID},
        None,
    ),
    "a message that wasn't decrypted": ("messages.upsert", {"key": KEY_OF_SUBJECT, "messageStubType": 2}, None),
    "a message that quotes and mentions others": (
        "messages.upsert",
        {"key": KEY_OF_SUBJECT, "message": {"x": {"contextInfo": {"participant": RUI, "quotedMessage": SAID}}}},
        None,
    ),
    "a reaction": (
        "messages.reaction",
        {
            "key": KEY_OF_OTHER,
            "reaction": {
                "key": KEY_OF_SUBJECT,
                "text": "👍",
                "senderTimestampMs": {"low": 1219873232, "high": 414, "unsigned": False},
            },
        },
        "2026-05-21T04:05:33.776000+00:00",
    ),
    "an edit": (
        "messages.update",
        {"key": KEY_OF_SUBJECT, "update": {"message": {"editedMessage": {"message": SAID}}, "messageTimestamp": TIME}},
        AT,
    ),
    "a vote": (
        "messages.update",
        {
            "key": KEY_OF_OTHER,
            "update": {"pollUpdates": [{"pollUpdateMessageKey": KEY_OF_SUBJECT, "senderTimestampMs": TIME * 1000}]},
        },
        AT,
    ),
    "a tag": (
        "group.member-tag.update",
        {"groupId": GROUP, "participant": ANA_LID, "label": "mãe", "messageTimestamp": TIME},
        AT,
    ),
    "a call": (
        "call",
        {"from": ANA_LID, "callerPn": ANA, "id": "C", "date": "2026-05-21T04:14:02.000Z", "status": "offer"},
        AT,
    ),
    "a receipt": (
        "message-receipt.update",
        {"key": KEY_OF_OTHER, "receipt": {"userJid": ANA, "readTimestamp": TIME}},
        AT,
    ),
    "a contact": ("contacts.update", {"id": ANA_LID, "notify": "Ana"}, None),
    "a LID's phone": ("lid-mapping.update", {"lid": ANA_LID, "pn": ANA}, None),
}


@pytest.mark.parametrize(("kind", "payload", "at"), OWN.values(), ids=OWN)
def test_what_is_the_subjects_own_goes_whole(kind: str, payload: Any, at: str | None) -> None:
    left = {"type": kind, "chat_jid": GROUP} | ({"occurred_at": at} if at else {}) | {"payload": GONE}
    assert redacted(event(payload, kind=kind)) == left


@pytest.mark.parametrize("stated", [f"{PHONE}:12@s.whatsapp.net", ANA, PHONE, f"+{PHONE}", ANA_LID])
def test_a_body_of_the_first_contract_that_the_subject_is_said_to_have_written_goes_whole(stated: str) -> None:
    body = {
        "type": "x",
        "group_jid": OLD_GROUP,
        "participant_jid": stated,
        "occurred_at": AT,
        "payload": {"text": "oi"},
    }
    left = {"type": "x", "group_jid": "[erased]-1500000000@g.us", "occurred_at": AT, "payload": GONE}
    assert redacted(json.dumps(body).encode()) == left


WRITTEN = (
    "5511987654321",
    "+5511987654321",
    "+55 11 98765-4321",
    "+55 (11) 98765-4321",
    "(11) 98765-4321",
    "(11) - 98765 - 4321",
    "11987654321",
    "11 9 8765 4321",
    "11.98765.4321",
    "55/11/98765/4321",
    "+55\u00a011\u00a098765\u20114321",
    "011 98765-4321",
    "0 15 11 98765-4321",
    "005511987654321",
    "+55 11 8765-4321",
    "1187654321",
    "*55* 11 98765_4321",
    "\u202a+55 11 98765\u20134321\u202c",
    "11\u202f98765\u200b4321",
    "55\t11\t98765\t4321",
)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_phone_is_known_as_people_write_it(written: str) -> None:
    [left] = redacted(event({"text": f"liga {written}, tá?"}))["payload"].values()
    assert left.startswith("liga ")
    assert left.endswith(", tá?")
    assert not any(map(str.isdigit, left.replace("011", "").replace("0 15", "")))


NOT_THE_SUBJECT = (
    "98765-4321",
    "11 98765-4322",
    "1 98765-4321",
    "21 98765-4321",
    "5511 9876",
    "551198765432",
    "65511987654321x",
    "55,11,98765,4321",
    "55:11:98765:4321",
)


@pytest.mark.parametrize("written", NOT_THE_SUBJECT)
def test_other_numbers_stay(written: str) -> None:
    body = event({"text": written})
    assert redact(SUBJECT, event_id(), body) is body


def test_ten_digits_that_are_a_time_are_no_phone_without_its_country() -> None:
    landline = subjects(phone_name(f"55{TIME}"))
    payload = {
        "messageTimestamp": TIME,
        "t": [TIME],
        "descTime": str(TIME),
        "text": str(TIME),
        "full": int(f"55{TIME}"),
    }
    assert redacted(event(payload), landline)["payload"] == payload | {"text": E, "full": None}


def test_a_key_that_stands_there_twice_hides_nobody() -> None:
    body = b'{"type":"x","chat_jid":null,"payload":{"a":"%s","a":"b", "c":{"%s":1,"d":2}}}' % (
        ANA.encode(),
        ANA.encode(),
    )
    after = redact(SUBJECT, event_id(), body)
    assert (
        after == b'{"type":"x","chat_jid":null,"payload":'
        b'{"a":"[erased]@s.whatsapp.net","a":"b","c":{"%s":{"erased":true},"d":2}}}' % ES.encode()
    )


def test_what_is_written_without_need_of_escapes_is_found_with_them() -> None:
    body = (
        event({"a": "x"})
        .replace(b'"x"', b'"\\u0035511987654321@s.whatsapp.net"')
        .replace(b'"a"', b'"\\u0035511987654321"')
    )
    assert redacted(body)["payload"] == {E: GONE}


@pytest.mark.parametrize("odd", [None, [], [[]], {}, 1, True, 1.5, {"id": []}, [PHONE]])
def test_odd_values_where_addresses_are_expected_raise_nothing(odd: Any) -> None:
    for kind in (odd, "messages.upsert", "messages.reaction", "messages.update", "groups.metadata", "call"):
        key = {"remoteJid": odd, "id": odd, "participant": ANA_LID, "participantAlt": odd, "fromMe": odd}
        payload = {
            "key": key,
            "reaction": {"key": key},
            "update": odd,
            "participants": odd,
            "messageStubType": odd,
            "messageStubParameters": odd,
            "contacts": odd,
            "vcard": odd,
            "userJid": odd,
            "quotedMessage": odd,
            "id": odd,
        }
        for each in (payload, odd, dict.fromkeys(payload, odd), {"key": key}):
            body = json.dumps({"type": kind, "chat_jid": odd, "participant_jid": odd, "payload": each}).encode()
            assert LID not in json.dumps(redacted(body))


def test_numbers_that_no_double_holds_stay_as_they_are() -> None:
    body = b'{"type":"x","payload":{"a":1e400,"b":-1E-999,"c":%s,"d":%d,"e":12345678901234567890123}}' % (
        b"9" * 5000,
        int(PHONE),
    )
    after = redact(SUBJECT, event_id(), body)
    assert after == body.replace(PHONE.encode(), b"null")


def test_what_is_nested_too_deeply_goes_whole_if_the_subject_is_in_it_and_stays_else() -> None:
    for depth in (150, 220, 600, 1015):
        for opened, closed in (('{"a":', "}"), ("[", "]")):
            nested = opened * depth + '"%s"' + closed * depth
            body = b'{"type":"x","chat_jid":"%s","payload":%s}' % (GROUP.encode(), (nested % RUI).encode())
            assert redact(SUBJECT, event_id(), body) is body
            after = redact(SUBJECT, event_id(), body.replace(RUI.encode(), ANA.encode()))
            assert PHONE.encode() not in after
            assert after.startswith(b'{"type":"x","chat_jid":"%s"' % GROUP.encode())


def test_deep_nesting_in_a_string_hides_nobody() -> None:
    for depth in (150, 220, 900, 5000):
        body = event({"a": "[" * depth + f'"{ANA}"' + "]" * depth})
        assert PHONE.encode() not in redact(SUBJECT, event_id(), body)


def test_an_event_and_its_message_lose_their_content_and_what_others_say_beside_it_stays() -> None:
    who = subjects(event_name(event_id("gone")), message_name("3EB0"))
    left = redacted(event(said(SAID), kind="messages.upsert"), who, "gone")["payload"]
    assert left == said(GONE)
    copy = {"id": GROUP, "messages": [{"message": said(SAID)}]}
    assert redacted(event(copy, kind="chats.update"), who)["payload"]["messages"] == [{"message": said(GONE)}]
    quote = {"stanzaId": "3EB0", "participant": RUI, "quotedMessage": SAID}
    answer = said({"extendedTextMessage": {"text": "é", "contextInfo": quote}}) | {"key": KEY_OF_OTHER | {"id": "3D"}}
    left = redacted(event(answer), who)["payload"]["message"]["extendedTextMessage"]
    assert left == {"text": "é", "contextInfo": quote | {"quotedMessage": GONE}}


def test_a_groups_bodies_go_and_other_groups_stay() -> None:
    who = subjects(GROUP)
    assert redacted(event(said(SAID)), who) == {"type": "messages.upsert", "occurred_at": AT, "payload": GONE}
    body = event(said(SAID) | {"key": {"id": "3E", "participant": RUI_LID}}, chat=group(2))
    assert redact(who, event_id(), body) is body
    linked = event({"id": group(2), "linkedParent": GROUP, "seen": {GROUP: 1}}, kind="groups.metadata", chat=group(2))
    assert redacted(linked, who)["payload"] == {
        "id": group(2),
        "linkedParent": "[erased]@g.us",
        "seen": {"[erased]@g.us": GONE},
    }


@pytest.mark.parametrize(
    "unit",
    [
        "1 ",
        "12345678 ",
        "9",
        "a",
        "\\n",
        "QUJD",
        "[",
        "{",
        "\\u0031",
        "(11) ",
        "1@",
        "é",
        '\\"',
        "1\\\\",
        "5511987654321 ",
    ],
)
def test_very_long_texts_are_looked_through(unit: str) -> None:
    body = b'{"type":"x","payload":{"a":"%s"}}' % (unit.encode() * (600_000 // len(unit)))
    after = redact(SUBJECT, event_id(), body)
    assert (after is body) == (unit != "5511987654321 ")
    assert may_hold(SUBJECT, body) or after is body
