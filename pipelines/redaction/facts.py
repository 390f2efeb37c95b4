"""Bodies of which the facts alone are left: type, people and times stay, and what was written or sent goes.

Belongs here: what of a message says of what kind it is, whom it is about and which other message. Not: the keys that
extraction reads (content), whose lines lose their content (covering). What the columns of pipelines/privacy/columns.py
say that aren't classed as content is left, as far as it isn't measured on what goes.
"""

import re
from collections.abc import Mapping

import orjson

from pipelines.parsing.erased import ERASED, ERASED_OBJECT
from pipelines.parsing.extraction import ENVELOPE_CHATS
from pipelines.parsing.paths import JSON
from pipelines.parsing.rules import MEMBERSHIP_STUBS, SUBJECT_STUBS, is_among
from pipelines.redaction.content import CONTENT, KEPT, OF_PEOPLE, WHOLE
from pipelines.redaction.members import parsed

Object = Mapping[str, JSON]
ENVELOPE = ("type", *ENVELOPE_CHATS, "participant_jid", "occurred_at")
STUB, STUB_PARAMETERS = "messageStubType", "messageStubParameters"
# Keys that hold objects, or lists of them, and nothing that is a fact by itself.
OBJECTS = frozenset({
    "key", "reaction", "update", "receipt", "pollUpdates", "pollUpdateMessageKey", "eventResponses",
    "eventResponseMessageKey", "messages",
})  # fmt: skip
WORDS = frozenset({"status", "action", "method"})  # keys that hold one of a few words of WhatsApp's

# The kinds of content, by the key under which a message has it: what sql/migrations' wpp_part and wpp_inside know.
WRAPPERS = frozenset({
    "associatedChildMessage", "botInvokeMessage", "botTaskMessage", "commentMessage", "deviceSentMessage",
    "documentWithCaptionMessage", "editedMessage", "ephemeralMessage", "eventCoverImage", "groupMentionedMessage",
    "groupStatusMentionMessage", "groupStatusMessage", "groupStatusMessageV2", "limitSharingMessage",
    "lottieStickerMessage", "pollCreationMessageV4", "pollCreationOptionImageMessage", "questionMessage",
    "statusMentionMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension",
})  # fmt: skip
CARRIERS = frozenset({
    "protocolMessage", "reactionMessage", "encReactionMessage", "pollUpdateMessage", "keepInChatMessage",
    "pinInChatMessage", "encEventResponseMessage", "secretEncryptedMessage", "stickerSyncRmrMessage", "albumMessage",
})  # fmt: skip
PARTS = frozenset({
    "conversation", "extendedTextMessage", "imageMessage", "videoMessage", "ptvMessage", "audioMessage",
    "documentMessage", "stickerMessage", "locationMessage", "liveLocationMessage", "contactMessage",
    "contactsArrayMessage", "pollCreationMessage", "pollCreationMessageV2", "pollCreationMessageV3",
    "pollCreationMessageV5", "eventMessage", "groupInviteMessage",
})  # fmt: skip
NO_CONTENT = frozenset({
    "messageContextInfo", "senderKeyDistributionMessage", "fastRatchetKeySenderKeyDistributionMessage",
})  # fmt: skip
KINDS = WRAPPERS | CARRIERS | PARTS
REACTIONS = frozenset({"reaction", "reactionMessage"})
_WORD = re.compile(r"[A-Za-z_]{1,40}")
_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")
_ADDRESS = re.compile(r"[0-9._:-]{1,60}@[a-z.]{1,30}")
_DIGITS = re.compile(r"[0-9]{1,18}")


def facts(body: bytes) -> bytes:
    """Return a body, storable JSON text, without its content; the same object where it has none.

    What extraction reads of it stays. Raises ValueError, RecursionError.
    """
    event = parsed(body)
    left = of_event(event) if isinstance(event, dict) else {}
    return body if left == event else orjson.dumps(left)


def of_event(event: Object) -> dict[str, JSON]:
    """Return a body, parsed, without its content."""
    kind = event.get("type")
    left = {name: event[name] for name in ENVELOPE if name in event and not isinstance(event[name], dict | list)}
    if "payload" in event:
        left["payload"] = of_payload(kind, event["payload"])
    return left


def of_payload(kind: JSON, payload: JSON) -> JSON:
    """Return a payload of this type without its content; what describes people stays whole."""
    if payload is None or (isinstance(payload, dict) and isinstance(kind, str) and kind in OF_PEOPLE):
        return payload
    return _left(payload) if isinstance(payload, dict) else ERASED_OBJECT


def _left(shown: Object, within: str = "") -> dict[str, JSON]:
    """Return an object, under the key `within`, without its content."""
    if shown == ERASED_OBJECT:
        return dict(shown)
    left: dict[str, JSON] = {}
    for name, value in shown.items():
        if name == CONTENT:
            left[name] = _message(value)
        elif name in OBJECTS:
            left[name] = _objects(value, name)
        elif name == STUB_PARAMETERS:
            left[name] = value if _is_of_people(shown) else []
        elif name in WHOLE or (name in KEPT and name not in WORDS):
            left[name] = value if name in WHOLE else _objects(value, name, scalars=True)
        elif name in WORDS and _is_word(value):
            left[name] = value
        elif name == "text" and within in REACTIONS:
            left[name] = ERASED if value else value
    return left


def _objects(value: JSON, name: str, *, scalars: bool = False) -> JSON:
    if isinstance(value, dict):
        return _left(value, name)
    if isinstance(value, list):
        return [_objects(each, name, scalars=scalars) for each in value]
    return ERASED if isinstance(value, str) and not scalars else value


def _is_of_people(stub: Object) -> bool:
    """Tell whether a stub's parameters are people, or a group's name: of another they may be a description's text."""
    return is_among(stub.get(STUB), MEMBERSHIP_STUBS | SUBJECT_STUBS)


def _is_word(value: JSON) -> bool:
    return not isinstance(value, str) or _WORD.fullmatch(value) is not None


def _message(value: JSON) -> JSON:
    """Return a message's content as its kinds alone; of a message with its key what any object keeps."""
    if value is None or value == ERASED_OBJECT:
        return value
    if not isinstance(value, dict):
        return ERASED_OBJECT
    if isinstance(value.get("key"), dict):
        return _left(value)
    kinds = {name: _part(name, each) for name, each in value.items() if name in KINDS}
    return kinds if kinds or value.keys() <= NO_CONTENT else ERASED_OBJECT


def _part(name: str, value: JSON) -> JSON:
    """Return what stands under the name of a kind, without what was written or sent."""
    if value is None:
        return None
    if not isinstance(value, dict):
        return ERASED_OBJECT
    left: dict[str, JSON] = {}
    if name in WRAPPERS and isinstance(value.get(CONTENT), dict):
        left[CONTENT] = _message(value[CONTENT])
    elif name == "protocolMessage":
        left = _left({each: value[each] for each in ("key",) if each in value})
        if not isinstance(value.get("type"), dict | list | None) and _is_word(value["type"]):
            left["type"] = value["type"]
        if "editedMessage" in value:
            left["editedMessage"] = _message(value["editedMessage"])
    elif name == "reactionMessage":
        left = _left({each: value[each] for each in ("key", "text", "senderTimestampMs") if each in value}, name)
    else:
        left = {each: value[each] for each in ("ptt",) if isinstance(value.get(each), bool)}
        left |= {each: value[each] for each in ("seconds", "fileLength") if _is_number(value.get(each))}
    context = value.get("contextInfo")
    if isinstance(context, dict) and (kept := _context(context)):
        left["contextInfo"] = kept
    return left or ERASED_OBJECT


def _context(context: Object) -> dict[str, JSON]:
    """Return what a message says of the one that it answers, and whom it mentions."""
    left: dict[str, JSON] = {}
    for name, pattern in (("stanzaId", _ID), ("participant", _ADDRESS)):
        if isinstance(value := context.get(name), str) and pattern.fullmatch(value):
            left[name] = value
    if isinstance(named := context.get("mentionedJid"), list):
        left["mentionedJid"] = [each for each in named if isinstance(each, str) and _ADDRESS.fullmatch(each)]
    if isinstance(forwarded := context.get("isForwarded"), bool):
        left["isForwarded"] = forwarded
    if _is_number(score := context.get("forwardingScore")):
        left["forwardingScore"] = score
    return left


def _is_number(value: JSON) -> bool:
    """Tell whether a value is a number: digits in a string, too, or a Long as protobuf has it."""
    if isinstance(value, str):
        return _DIGITS.fullmatch(value) is not None
    if isinstance(value, dict):
        return value.keys() <= {"low", "high", "unsigned"} and all(isinstance(each, int) for each in value.values())
    return isinstance(value, int | float)
