"""What one event's body shows: its group, author, people, name and time, read by one rule an event type.

Belongs here: where each type keeps these in its payload. Not: what an address or a time looks like (people, times),
nor anything that needs a second event (sql/load). A path such as `key.participant` is read from the payload, a number
in it from a list. A type without a rule still has what its envelope and the common group fields say.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from operator import itemgetter
from typing import Any

import msgspec
import orjson

from pipelines.landed import storable
from pipelines.people import Person, bare_phone, group_jid, known, person
from pipelines.times import point_in_time

JSON = Any
Addresses = tuple[str, ...]
MAX_NAME = 255


class Extracted(msgspec.Struct, frozen=True, gc=False):
    """What one body shows. `members` are the other people in it, `pairs` further addresses shown as one person's."""

    group_jid: str | None = None
    author: Person | None = None
    push_name: str | None = None
    occurred_at: datetime | None = None
    members: tuple[Person, ...] = ()
    pairs: tuple[Person, ...] = ()
    subject: str | None = None
    is_full_metadata: bool = False
    undecrypted: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one event type keeps what it shows.

    `author` lists alternatives, the first that names a person wins; each holds the paths of one person's addresses.
    `direct_author` has the other side of a direct chat, who is the author of what this account didn't send itself.
    `time` lists paths, the first that holds a time wins. `people` yields what else is in it. `subject` is the path of
    the group's name.
    """

    author: tuple[Addresses, ...] = ()
    direct_author: Addresses = ()
    time: tuple[str, ...] = ()
    name: str | None = None
    people: Callable[[JSON], Iterator[Person | None]] | None = None
    subject: str | None = None


def at(value: JSON, path: str) -> JSON:
    """Return what stands at `path` (`key.participant`, `pollUpdates.0.vote`), None where nothing does."""
    for step in _steps(path):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


@cache
def _steps(path: str) -> list[str]:
    return path.split(".")


def _person_at(payload: JSON, paths: Addresses) -> Person | None:
    """Return the person whose addresses stand at these paths."""
    found: list[JSON] = []
    for parent, names in _by_parent(paths):
        holder = at(payload, parent) if parent else payload
        if isinstance(holder, dict):
            found += map(holder.get, names)
    return person(*found)


@cache
def _by_parent(paths: Addresses) -> list[tuple[str, list[str]]]:
    """Return the paths as their parents, each with the names below it, so that a parent is looked up once."""
    split = [path.rpartition(".") for path in paths]
    return [(parent, [name for _, _, name in those]) for parent, those in groupby(split, key=itemgetter(0))]


def _sender(key: str) -> Addresses:
    """List a message key's addresses of its sender: Baileys 7 (participantAlt), 6.7 (Pn, Lid), 6.17 (participant)."""
    return tuple(f"{key}.{field}" for field in ("participant", "participantAlt", "participantPn", "participantLid"))


def _roster(payload: JSON) -> Iterator[Person | None]:
    """Read participants[]: bare addresses in Baileys 6, {id, phoneNumber?, lid?, jid?} later."""
    participants = payload.get("participants")
    for member in participants if isinstance(participants, list) else ():
        yield _member(member)


def _member(member: JSON) -> Person | None:
    """Read one member: an object with addresses, or a bare address."""
    if isinstance(member, dict):
        return person(*(member.get(field) for field in ("id", "phoneNumber", "lid", "jid", "pn")))
    return person(member)


def _stub_people(payload: JSON) -> Iterator[Person | None]:
    """Read a membership stub's parameters: JSON strings in Baileys 7, bare addresses in 6."""
    parameters = payload.get("messageStubParameters")
    if not _is_among(payload.get("messageStubType"), MEMBERSHIP_STUBS) or not isinstance(parameters, list):
        return
    for parameter in parameters:
        yield _member(_json_or_text(parameter))


def _json_or_text(text: JSON) -> JSON:
    """Return what the text of a JSON object holds, itself escaped once more than what the body holds; else the text."""
    try:
        return orjson.loads(storable(text.encode())) if isinstance(text, str) and text.lstrip()[:1] == "{" else text
    except orjson.JSONDecodeError:
        return text


def _one(*paths: str) -> Callable[[JSON], Iterator[Person | None]]:
    """Read one person from these paths."""
    return lambda payload: iter((_person_at(payload, paths),))


def _contact(payload: JSON) -> Iterator[Person | None]:
    """Read a contact, unless it is a group's: then its other addresses are nobody's."""
    return iter(()) if group_jid(payload.get("id")) else _one("id", "lid", "phoneNumber", "jid")(payload)


def _present(payload: JSON) -> Iterator[Person | None]:
    presences = payload.get("presences")
    return (person(jid) for jid in presences) if isinstance(presences, dict) else iter(())


_GROUP_METADATA = Rule(author=(("author", "authorPn"),), people=_roster, subject="subject")
_CONTACT = Rule(people=_contact)
_MESSAGE = Rule(
    author=(_sender("key"), ("participant",)),
    direct_author=("key.remoteJid", "key.remoteJidAlt", "key.senderPn", "key.senderLid"),
    time=("messageTimestamp",),
    name="pushName",
    people=_stub_people,
)

RULES: Mapping[str, Rule] = {
    "messages.upsert": _MESSAGE,
    "messages.reaction": Rule(author=(_sender("reaction.key"),), time=("reaction.senderTimestampMs",)),
    "messages.media-update": Rule(author=(_sender("key"),)),
    "message-receipt.update": Rule(
        author=(("receipt.userJid",),), time=("receipt.readTimestamp", "receipt.receiptTimestamp")
    ),
    "group-participants.update": Rule(author=(("author", "authorPn"),), people=_roster),
    "group.join-request": Rule(author=(("author", "authorPn"),), people=_one("participant", "participantPn")),
    "group.member-tag.update": Rule(author=(("participant", "participantAlt"),), time=("messageTimestamp",)),
    "groups.metadata": _GROUP_METADATA,
    "groups.upsert": _GROUP_METADATA,
    "groups.update": _GROUP_METADATA,
    "chats.update": Rule(time=("conversationTimestamp",), subject="name"),
    "chats.upsert": Rule(subject="name"),  # its conversationTimestamp is when the group was made
    "call": Rule(author=(("from", "callerPn"),), time=("date",)),
    "presence.update": Rule(people=_present),
    "contacts.upsert": _CONTACT,
    "contacts.update": _CONTACT,
    "lid-mapping.update": Rule(people=_one("lid", "pn")),
    "chats.phoneNumberShare": Rule(people=_one("lid", "jid")),
}

# messages.update is three events in one type. A changed message (edited, or null: revoked) is its actor's doing; a
# poll vote or an event response the voter's; the rest (status, stars) shows nobody.
_CHANGED_MESSAGE = Rule(author=(_sender("key"),), time=("update.messageTimestamp",))
_POLL_VOTE = Rule(
    author=(_sender("update.pollUpdates.0.pollUpdateMessageKey"),), time=("update.pollUpdates.0.senderTimestampMs",)
)
_EVENT_RESPONSE = Rule(
    author=(_sender("update.eventResponses.0.eventResponseMessageKey"),),
    time=("update.eventResponses.0.senderTimestampMs",),
)
_UNKNOWN = Rule()

# Where a payload names its group, when the envelope doesn't.
GROUP_PATHS = ("key.remoteJid", "id", "groupId", "groupJid", "association.chatId", "chatId")

# Group metadata shows more pairs: who made the group, its subject and its description (Baileys 7: *Pn, 6.7: *Jid).
METADATA_PAIRS = tuple((role, f"{role}Pn", f"{role}Jid") for role in ("owner", "subjectOwner", "descOwner"))

# The stubs that tell of people, by WebMessageInfo.StubType name and number.
MEMBERSHIP_STUBS: frozenset[JSON] = frozenset({
    "GROUP_PARTICIPANT_ADD", 27, "GROUP_PARTICIPANT_REMOVE", 28, "GROUP_PARTICIPANT_PROMOTE", 29,
    "GROUP_PARTICIPANT_DEMOTE", 30, "GROUP_PARTICIPANT_INVITE", 31, "GROUP_PARTICIPANT_LEAVE", 32,
    "GROUP_PARTICIPANT_CHANGE_NUMBER", 33, "GROUP_PARTICIPANT_ADD_REQUEST_JOIN", 71,
    "GROUP_PARTICIPANT_LINKED_GROUP_JOIN", 141, "GROUP_PARTICIPANT_JOINED_GROUP_AND_PARENT_GROUP", 151,
    "GROUP_MEMBERSHIP_JOIN_APPROVAL_REQUEST_NON_ADMIN_ADD", 172,
})  # fmt: skip
# The stubs whose first parameter is the group's name. A change back to a former name has an id of its own only here.
SUBJECT_STUBS: frozenset[JSON] = frozenset({"GROUP_CREATE", 20, "GROUP_CHANGE_SUBJECT", 21})
UNDECRYPTED_STUBS: frozenset[JSON] = frozenset({"CIPHERTEXT", 2})
# Every other stub tells what somebody did, and may carry the name of somebody else: a revoke, that of the message's
# author under the key of whoever revoked it.
NO_STUBS: frozenset[JSON] = frozenset({None, "UNKNOWN", 0})


def extract(event: Mapping[str, JSON]) -> Extracted:
    """Return what one body shows: the parsed, storable JSON object that the collector signed, of either contract."""
    payload = event.get("payload")
    if not isinstance(payload, dict):
        payload = {}
    rule = _rule(event.get("type"), payload)
    stub = payload.get("messageStubType") if rule is _MESSAGE else None
    shown = _author_shown(rule, payload)
    author, agrees = _author(event.get("participant_jid"), shown)
    undecrypted = _is_among(stub, UNDECRYPTED_STUBS)
    subject = "messageStubParameters.0" if _is_among(stub, SUBJECT_STUBS) else rule.subject
    named = author and agrees and (undecrypted or _is_among(stub, NO_STUBS))
    metadata = rule is _GROUP_METADATA
    pairs = _pairs(payload, None if agrees else shown, metadata=metadata) if metadata or not agrees else ()
    return Extracted(
        group_jid=_first_group(event, payload),
        author=author,
        push_name=_name(payload.get(rule.name)) if named else None,
        occurred_at=point_in_time(event.get("occurred_at")) or _first_time(payload, rule.time),
        members=tuple(person for person in rule.people(payload) if person) if rule.people else (),
        pairs=tuple(pairs),
        subject=_name(at(payload, subject)) if subject else None,
        is_full_metadata=metadata and isinstance(payload.get("participants"), list),
        undecrypted=undecrypted,
    )


def _rule(kind: JSON, payload: JSON) -> Rule:
    """Return the rule of a type; messages.update has several, told apart by what its update holds."""
    if kind != "messages.update":
        return RULES.get(kind, _UNKNOWN)
    update = payload.get("update")
    if not isinstance(update, dict):
        return _UNKNOWN
    if "message" in update:
        return _CHANGED_MESSAGE
    return _POLL_VOTE if "pollUpdates" in update else _EVENT_RESPONSE if "eventResponses" in update else _UNKNOWN


def _author_shown(rule: Rule, payload: JSON) -> Person | None:
    """Return the first of the rule's authors that the payload names."""
    for addresses in rule.author:
        if shown := _person_at(payload, addresses):
            return shown
    if rule.direct_author and at(payload, "key.fromMe") is not True:
        return _person_at(payload, rule.direct_author)
    return None


def _author(envelope_jid: JSON, shown: Person | None) -> tuple[Person | None, bool]:
    """Return the author, and whether the payload speaks of that person.

    The first contract's participant_jid wins; the payload adds its other address when one of them is the same.
    """
    stated = (person(envelope_jid) or bare_phone(envelope_jid)) if envelope_jid else None
    if stated is None or shown is None:
        return stated or shown, True
    if not set(stated.jids).isdisjoint(shown.jids):
        return known(stated.lid or shown.lid, stated.phone or shown.phone), True
    return stated, False


def _first_group(event: Mapping[str, JSON], payload: JSON) -> str | None:
    """Return the envelope's group, else the first that the payload names."""
    for name in ("chat_jid", "group_jid"):
        if envelope := group_jid(event.get(name)):
            return envelope
    for path in GROUP_PATHS:
        if found := group_jid(at(payload, path)):
            return found
    return None


def _first_time(payload: JSON, paths: tuple[str, ...]) -> datetime | None:
    for path in paths:
        if moment := point_in_time(at(payload, path)):
            return moment
    return None


def _name(name: JSON) -> str | None:
    """Return at most MAX_NAME characters of a name; blank is none, and so is what stands for NUL."""
    return name[:MAX_NAME] if isinstance(name, str) and name[:MAX_NAME].replace("\ufffd", "").strip() else None


def _pairs(payload: JSON, other_author: Person | None, *, metadata: bool) -> Iterator[Person]:
    """Yield who else is shown with both addresses: an author that the envelope overrules, roles in metadata."""
    roles = [_person_at(payload, fields) for fields in METADATA_PAIRS] if metadata else []
    for shown in (other_author, *roles):
        if shown and shown.lid and shown.phone:
            yield shown


def _is_among(stub: JSON, kinds: frozenset[JSON]) -> bool:
    return isinstance(stub, str | int | None) and stub in kinds
