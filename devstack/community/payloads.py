"""The events of an invented community as Baileys 7 and the collector put them.

Belongs here: shapes and units. Not: who does what when (weeks).
"""

import base64
import json
import random
import uuid
from datetime import datetime
from typing import Any

from devstack.community.people import Group, Person

Payload = dict[str, Any]
THUMBNAIL_BYTES = 240
OF_ANDROID = 0.5  # of the messages, by the form of their ids


def message_id(chance: random.Random) -> str:
    """Return an id such as WhatsApp's clients make."""
    return f"3EB0{chance.getrandbits(72):018X}" if chance.random() < OF_ANDROID else f"AC{chance.getrandbits(120):030X}"


def event_id(*parts: str) -> str:
    """Return the id that always belongs to these words."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "wpp-lake:" + "\n".join(parts)))


def key(group: Group, message: str, person: Person) -> Payload:
    """Return a message's key."""
    shown, other = person.addresses(group.mode)
    found = {"remoteJid": group.jid, "fromMe": False, "id": message, "participant": shown}
    return found | ({"participantAlt": other} if other else {}) | {"addressingMode": group.mode}


def target(group: Group, message: str, author: Person) -> Payload:
    """Return a key as another message names it."""
    return {"remoteJid": group.jid, "fromMe": False, "id": message, "participant": author.addresses(group.mode)[0]}


def upsert(group: Group, message: str, person: Person, at: datetime, content: Payload) -> Payload:
    """Return a message that arrives."""
    return {
        "key": key(group, message, person),
        "messageTimestamp": int(at.timestamp()),
        "pushName": person.name,
        "broadcast": False,
        "message": content,
    }


def undecrypted(group: Group, message: str, person: Person, at: datetime) -> Payload:
    """Return the placeholder of a message that couldn't be decrypted."""
    found = upsert(group, message, person, at, {})
    del found["message"]
    return found | {"messageStubType": 2, "messageStubParameters": ["Message absent from node"]}


def copy(group: Group, message: Payload) -> Payload:
    """Return a message as `chats.update` repeats it."""
    at = message["messageTimestamp"]
    return {"id": group.jid, "messages": [{"message": message}], "conversationTimestamp": at, "unreadCount": 1}


def text(words: str, context: Payload | None = None) -> Payload:
    """Return a text."""
    return {"extendedTextMessage": {"text": words, "contextInfo": context}} if context else {"conversation": words}


def link(words: str, address: str, title: str) -> Payload:
    """Return a text with a link and its preview."""
    return {"extendedTextMessage": {"text": f"{words} {address}", "matchedText": address, "title": title}}


def media(chance: random.Random, kind: str, mimetype: str, at: datetime, **more: Any) -> Payload:
    """Return a media message: where it would lie, its size, its keys, and a thumbnail of nothing."""

    def noise(size: int) -> str:
        return base64.b64encode(chance.randbytes(size)).decode()

    return {
        kind: {
            "url": "https://mmg.whatsapp.net/v/t62.7118-24/x.enc",
            "mimetype": mimetype,
            "fileSha256": noise(32),
            "mediaKey": noise(32),
            "fileEncSha256": noise(32),
            "directPath": "/v/t62.7118-24/x.enc?ccb=1",
            "mediaKeyTimestamp": str(int(at.timestamp())),
            **({} if kind == "audioMessage" else {"jpegThumbnail": noise(THUMBNAIL_BYTES)}),
            **more,
        }
    }


def poll(name: str, options: list[str]) -> Payload:
    """Return a poll."""
    named = [{"optionName": option} for option in options]
    return {"pollCreationMessageV3": {"name": name, "options": named, "selectableOptionsCount": 1}}


def vote(chance: random.Random, group: Group, message: str, author: Person, at: datetime) -> Payload:
    """Return a vote, whose content is encrypted."""
    encrypted = {"encPayload": base64.b64encode(chance.randbytes(60)).decode(), "encIv": "WTnvcYgpgefsRjW+"}
    named = target(group, message, author)
    return {
        "pollUpdateMessage": {
            "pollCreationMessageKey": named,
            "vote": encrypted,
            "senderTimestampMs": str(int(at.timestamp() * 1000)),
        }
    }


def reaction_message(group: Group, message: str, author: Person, emoji: str, at: datetime) -> Payload:
    """Return what a reaction's own message holds; no emoji takes the reaction back."""
    milliseconds = str(int(at.timestamp() * 1000))
    named = target(group, message, author)
    return {"reactionMessage": {"key": named, "text": emoji, "senderTimestampMs": milliseconds}}


def reaction(reactor: Payload, message: Payload, emoji: str, at: datetime) -> Payload:
    """Return a reaction's event; its time is a Long."""
    milliseconds = int(at.timestamp() * 1000)
    low = milliseconds & 0xFFFFFFFF
    long = {"low": low - (1 << 32) if low >> 31 else low, "high": milliseconds >> 32, "unsigned": False}
    return {"reaction": {"key": reactor, "text": emoji, "senderTimestampMs": long}, "key": message}


def edit(group: Group, message: str, words: str, at: datetime) -> Payload:
    """Return what the message of an edit holds."""
    edited = {"remoteJid": group.jid, "fromMe": True, "id": message}
    milliseconds = str(int(at.timestamp() * 1000))
    kind = {"type": "MESSAGE_EDIT", "editedMessage": {"conversation": words}, "timestampMs": milliseconds}
    return {"protocolMessage": {"key": edited, **kind}}


def edited(group: Group, message: str, person: Person, words: str, at: datetime) -> Payload:
    """Return the event of an edit."""
    content = {"editedMessage": {"message": {"conversation": words}}}
    return {"key": key(group, message, person), "update": {"message": content, "messageTimestamp": int(at.timestamp())}}


def revoke(group: Group, message: str, author: Person) -> Payload:
    """Return what the message of a deletion holds."""
    return {"protocolMessage": {"key": target(group, message, author), "type": "REVOKE"}}


def revoked(group: Group, message: str, person: Person, revoking: str) -> Payload:
    """Return the event of a deletion, by somebody's message."""
    update = {"message": None, "messageStubType": 1, "key": key(group, revoking, person)}
    return {"key": key(group, message, person), "update": update}


def stub(group: Group, number: str, person: Person, at: datetime, kind: str, *parameters: str) -> Payload:
    """Return a notice of the group, which comes as a message without content."""
    shown, _ = person.addresses(group.mode)
    return {
        "key": {"remoteJid": group.jid, "fromMe": False, "id": number, "participant": shown},
        "messageTimestamp": str(int(at.timestamp())),
        "participant": shown,
        "messageStubType": kind,
        "messageStubParameters": list(parameters),
    }


def member(group: Group, person: Person, admin: str | None = None) -> Payload:
    """Return somebody as rosters and notices name them."""
    shown, other = person.addresses(group.mode)
    named = {"phoneNumber" if group.mode == "lid" else "lid": other} if other else {}
    return {"id": shown, **named, "admin": admin}


def member_text(group: Group, person: Person) -> str:
    """Return the same as the parameter of a notice, which is a string."""
    return json.dumps(member(group, person), separators=(",", ":"))


def metadata(group: Group, people: list[Person], at: datetime) -> Payload:
    """Return all that is known of a group, its roster among it."""
    owner, other = group.admin.addresses(group.mode)
    shown = {"owner": owner, "subjectOwner": owner} | ({"ownerPn": other} if other and group.mode == "lid" else {})
    roster = [member(group, person, "superadmin" if person is group.admin else None) for person in people]
    return {
        "id": group.jid,
        "addressingMode": group.mode,
        "subject": group.subject,
        "subjectTime": int(at.timestamp()),
        **shown,
        "size": len(roster),
        "creation": 1751104090,
        "restrict": False,
        "announce": False,
        "isCommunity": False,
        "isCommunityAnnounce": False,
        "joinApprovalMode": False,
        "memberAddMode": False,
        "participants": roster,
    }
