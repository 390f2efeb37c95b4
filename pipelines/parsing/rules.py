"""The rules: where each event type keeps its author, time, name and people in its payload.

Belongs here: payload paths and the shapes that Baileys' versions give them. Not: what becomes of what is found
(extraction), nor how an address or a time reads (jids, timestamps).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import orjson

from pipelines.landing.format import storable
from pipelines.parsing.jids import Person, group_jid, person
from pipelines.parsing.paths import JSON, at

Reader = Callable[[JSON], Person | None]
ManyReader = Callable[[JSON], Iterable[Person | None]]


@dataclass(frozen=True, slots=True)
class Rule:
    """The places where one event type keeps what it shows.

    `author` lists readers, the first that finds a person wins. `time` lists paths, the first that holds a time wins.
    `name` is the key of the author's name. `people` reads the other people in it; `objects` yields them where each
    stands in an object that describes the person. `subject` is the key of the group's name, `subject_time` that of the
    time at which the group got it. A `metadata` rule reads group metadata.
    """

    author: tuple[Reader, ...] = ()
    time: tuple[str, ...] = ()
    name: str | None = None
    people: ManyReader | None = None
    objects: Callable[[JSON], Iterable[JSON]] | None = None
    subject: str | None = None
    subject_time: str | None = None
    metadata: bool = False


# A message key's addresses of its sender: Baileys 7 (participantAlt), 6.7 (Pn, Lid), 6.17 (participant).
SENDER = ("participant", "participantAlt", "participantPn", "participantLid")
# The same where the chat isn't a group: then they belong to the sender too, not to the chat.
DIRECT_SENDER = ("remoteJidAlt", "senderPn", "senderLid")


def _addresses(*names: str) -> Reader:
    """Read one person from these keys of the payload."""
    return lambda payload: person(*map(payload.get, names))


def sender(path: str) -> Reader:
    """Read who sent a message from its key, which names the sender apart from the chat."""

    def read(payload: JSON) -> Person | None:
        key = at(payload, path)
        if not isinstance(key, dict):
            return None
        sender = person(*map(key.get, SENDER))
        if sender and _chat_is_no_group(key) and not _is_own_direct_message(key):
            return person(*sender.jids, *map(key.get, DIRECT_SENDER))
        return sender

    return read


def _other_side(path: str) -> Reader:
    """Read the other side of a direct chat, who wrote what this account didn't send itself."""

    def read(payload: JSON) -> Person | None:
        key = at(payload, path)
        if isinstance(key, dict) and _chat_is_no_group(key) and key.get("fromMe") is not True:
            return person(key.get("remoteJid"), *map(key.get, DIRECT_SENDER))
        return None

    return read


def _chat_is_no_group(key: JSON) -> bool:
    return isinstance(key.get("remoteJid"), str) and not group_jid(key["remoteJid"])


def _is_own_direct_message(key: JSON) -> bool:
    """Tell whether this account wrote to a person, whose addresses then are those of the chat."""
    return key.get("fromMe") is True and person(key["remoteJid"]) is not None


def _caller(payload: JSON) -> Person | None:
    """Read who calls. Later than the offer, Baileys puts the caller's phone beside whoever accepts, rejects or ends."""
    if payload.get("status") in {None, "offer", "timeout"}:
        return person(payload.get("from"), payload.get("callerPn"))
    return person(payload.get("from"))


def _roster(payload: JSON) -> Iterable[JSON]:
    """Return participants[]: bare addresses in Baileys 6, {id, phoneNumber?, lid?, jid?, admin} later."""
    return participants if isinstance(participants := payload.get("participants"), list) else []


def _members(payload: JSON) -> Iterable[Person | None]:
    """Read participants[] of a change: each says what became of a person, not how the person is."""
    return map(member, _roster(payload))


def member(shown: JSON) -> Person | None:
    """Read one person from an object with addresses, or from a bare address."""
    if isinstance(shown, dict):
        return person(*(shown.get(name) for name in ("id", "phoneNumber", "lid", "jid", "pn")))
    return person(shown)


def _stub_people(payload: JSON) -> Iterator[Person | None]:
    """Read a membership stub's parameters: JSON strings in Baileys 7, bare addresses in 6."""
    stub, parameters = payload.get("messageStubType"), payload.get("messageStubParameters")
    if not is_among(stub, MEMBERSHIP_STUBS) or not isinstance(parameters, list):
        return
    read = [_json_or_text(parameter) for parameter in parameters]
    if not is_among(stub, JOIN_REQUEST_STUBS):
        yield from map(member, read)
        return
    author = sender("key")(payload) or person(payload.get("participant"))
    action, method = (*parameters[1:3], None, None)[:2]
    for shown in read:
        if isinstance(shown, dict) and "id" not in shown:
            yield _requester(shown.get("lid"), shown.get("pn"), author, action, method)
        else:
            yield member(shown)


def _join_request(payload: JSON) -> Iterable[Person | None]:
    """Read who asks to join."""
    address, phone, action, method = map(payload.get, ("participant", "participantPn", "action", "method"))
    return [_requester(address, phone, _AUTHOR(payload), action, method)]


def _requester(address: JSON, phone: JSON, author: Person | None, action: JSON, method: JSON) -> Person | None:
    """Read who asks to join, with the phone only where nobody else can have acted.

    Baileys fills in the phone of whoever acted where the requester's isn't shown.
    """
    alone, both = person(address), person(address, phone)
    if author and alone and alone.lid and alone.lid == author.lid:
        return both
    may_be_own_act = action in OWN_ACTS and method != "non_admin_add"
    same = author is None or (both is not None and not set(author.jids).isdisjoint(both.jids))
    return both if may_be_own_act and same else alone


def _json_or_text(text: JSON) -> JSON:
    """Return what the text of a JSON object holds, itself escaped once more than what the body holds; else the text."""
    try:
        return orjson.loads(storable(text.encode())) if isinstance(text, str) and text.lstrip()[:1] == "{" else text
    except orjson.JSONDecodeError:
        return text


def _one(*names: str) -> ManyReader:
    """Read one other person from these keys of the payload."""
    return lambda payload: [person(*map(payload.get, names))]


def _contact(payload: JSON) -> Iterable[JSON]:
    """Return a contact, unless it is a group's: then its other addresses are nobody's."""
    return [] if group_jid(payload.get("id")) else [payload]


def _present(payload: JSON) -> Iterable[Person | None]:
    return map(person, presences) if isinstance(presences := payload.get("presences"), dict) else []


def is_among(stub: JSON, kinds: frozenset[JSON]) -> bool:
    """Tell whether a stub's type is one of these, named or numbered."""
    return isinstance(stub, str | int | None) and stub in kinds


_AUTHOR = _addresses("author", "authorPn")
_GROUP_METADATA = Rule(author=(_AUTHOR,), objects=_roster, subject="subject", subject_time="subjectTime", metadata=True)
_CONTACT = Rule(objects=_contact)
MESSAGE = Rule(
    author=(sender("key"), _addresses("participant"), _other_side("key")),
    time=("messageTimestamp",),
    name="pushName",
    people=_stub_people,
)

RULES: Mapping[str, Rule] = {
    "messages.upsert": MESSAGE,
    "messages.reaction": Rule(author=(sender("reaction.key"),), time=("reaction.senderTimestampMs",)),
    "messages.media-update": Rule(author=(sender("key"),)),
    "message-receipt.update": Rule(
        author=(lambda payload: person(at(payload, "receipt.userJid")),),
        time=("receipt.readTimestamp", "receipt.receiptTimestamp"),
    ),
    "group-participants.update": Rule(author=(_AUTHOR,), people=_members),
    "group.join-request": Rule(author=(_AUTHOR,), people=_join_request),
    "group.member-tag.update": Rule(author=(_addresses("participant", "participantAlt"),), time=("messageTimestamp",)),
    "groups.metadata": _GROUP_METADATA,
    "groups.upsert": _GROUP_METADATA,
    "groups.update": _GROUP_METADATA,
    "chats.update": Rule(time=("conversationTimestamp",), subject="name"),
    "chats.upsert": Rule(subject="name"),  # its conversationTimestamp is when the group was made
    "call": Rule(author=(_caller,), time=("date",)),
    "presence.update": Rule(people=_present),
    "contacts.upsert": _CONTACT,
    "contacts.update": _CONTACT,
    "lid-mapping.update": Rule(people=_one("lid", "pn")),
    "chats.phoneNumberShare": Rule(people=_one("lid", "jid")),
}

# messages.update is three events in one type. A changed message (edited, or null: revoked) is its actor's doing; a
# poll vote or an event response the voter's; the rest (status, stars) shows nobody.
_CHANGED_MESSAGE = Rule(author=(sender("key"),), time=("update.messageTimestamp",))
_POLL_VOTE = Rule(
    author=(sender("update.pollUpdates.0.pollUpdateMessageKey"),), time=("update.pollUpdates.0.senderTimestampMs",)
)
_EVENT_RESPONSE = Rule(
    author=(sender("update.eventResponses.0.eventResponseMessageKey"),),
    time=("update.eventResponses.0.senderTimestampMs",),
)
_UNKNOWN = Rule()

# Where a payload names its group, when the envelope doesn't.
GROUP_PATHS = ("key.remoteJid", "id", "groupId", "groupJid", "association.chatId", "chatId")

# Group metadata shows more pairs: who made the group, its subject and its description (Baileys 7: *Pn, 6.7: *Jid).
METADATA_PAIRS = tuple((role, f"{role}Pn", f"{role}Jid") for role in ("owner", "subjectOwner", "descOwner"))
# The times at which a group's metadata changed: its description can't be older than the latest of them.
METADATA_TIMES = ("subjectTime", "descTime", "creation")
# What becomes of a request to join by the doing of whoever asked.
OWN_ACTS = (None, "created", "revoked")

# The stubs that show people, by WebMessageInfo.StubType name and number.
JOIN_REQUEST_STUBS: frozenset[JSON] = frozenset({
    "GROUP_PARTICIPANT_ADD_REQUEST_JOIN", 71, "GROUP_MEMBERSHIP_JOIN_APPROVAL_REQUEST_NON_ADMIN_ADD", 172,
})  # fmt: skip
MEMBERSHIP_STUBS: frozenset[JSON] = JOIN_REQUEST_STUBS | {
    "GROUP_PARTICIPANT_ADD", 27, "GROUP_PARTICIPANT_REMOVE", 28, "GROUP_PARTICIPANT_PROMOTE", 29,
    "GROUP_PARTICIPANT_DEMOTE", 30, "GROUP_PARTICIPANT_INVITE", 31, "GROUP_PARTICIPANT_LEAVE", 32,
    "GROUP_PARTICIPANT_CHANGE_NUMBER", 33, "GROUP_PARTICIPANT_LINKED_GROUP_JOIN", 141,
    "GROUP_PARTICIPANT_JOINED_GROUP_AND_PARENT_GROUP", 151,
}  # fmt: skip
# The stubs whose first parameter is the group's name. A change back to a former name has an id of its own only here.
SUBJECT_STUBS: frozenset[JSON] = frozenset({"GROUP_CREATE", 20, "GROUP_CHANGE_SUBJECT", 21})
UNDECRYPTED_STUBS: frozenset[JSON] = frozenset({"CIPHERTEXT", 2})
# Every other stub says what somebody did, and may carry the name of somebody else: a revoke, that of the message's
# author under the key of whoever revoked it.
NO_STUBS: frozenset[JSON] = frozenset({None, "UNKNOWN", 0})


def rule_of(kind: JSON, payload: JSON) -> Rule:
    """Return the rule of a type; messages.update has several, told apart by what its update holds."""
    if kind != "messages.update":
        return RULES.get(kind, _UNKNOWN)
    update = payload.get("update")
    if not isinstance(update, dict):
        return _UNKNOWN
    if "message" in update:
        return _CHANGED_MESSAGE
    return _POLL_VOTE if "pollUpdates" in update else _EVENT_RESPONSE if "eventResponses" in update else _UNKNOWN
