"""Which objects of a body are somebody's own, and go whole when that person is forgotten.

Belongs here: the shapes in which a body holds what a person wrote or is. Not: what becomes of them, nor of a number
that stands elsewhere (walker). What isn't of one of these shapes loses the person's numbers alone.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pipelines.parsing.extraction import Extracted
from pipelines.parsing.jids import Person, person
from pipelines.parsing.paths import JSON
from pipelines.parsing.rules import MESSAGE, NO_STUBS, UNDECRYPTED_STUBS, is_among, member, sender
from pipelines.redaction.subjects import Subjects, message_name

Object = Mapping[str, JSON]
# The types whose author did something to a group or to somebody else: what they show isn't the author's own.
OF_OTHERS = frozenset({
    "groups.metadata", "groups.upsert", "groups.update", "group-participants.update", "group.join-request",
    "chats.update", "chats.upsert", "presence.update",
})  # fmt: skip
# Which person's doing an item of a message is, by the key that it has.
_ITEM_KEYS = ("pollUpdateMessageKey", "eventResponseMessageKey")
_CARD, _CARDS, _CARDS_NAME = "vcard", "contacts", "displayName"
# How the keys of a message's content end; a key in one, say in a reactionMessage, is that of the message it is about.
_CONTENT = "Message"
# Keys beside a person's address that name the same person; the address' own key is what stands before these endings.
_NAMES = ("pushName", "notify", "verifiedName", "verifiedBizName", "username")
ADDRESS_ENDINGS = ("", "Alt", "Pn", "Lid", "Jid")
NAME_ENDING = "Username"
_QUOTED = "quotedMessage"


def is_subject(subjects: Subjects, shown: Person | None) -> bool:
    """Tell whether a person is a subject: by the phone where it is shown, for a LID may have been another's before."""
    digits = shown and (shown.phone or shown.lid)
    return digits is not None and subjects.is_number(digits)


def is_subjects_address(subjects: Subjects, jid: JSON) -> bool:
    """Tell whether an address is a subject's."""
    return is_subject(subjects, person(jid))


def owns_body(subjects: Subjects, kind: JSON, payload: JSON, shown: Extracted) -> bool:
    """Tell whether a body is a subject's own: written by that person, or about that person alone."""
    if (isinstance(kind, str) and kind in OF_OTHERS) or not is_subject(subjects, shown.author):
        return False
    return not isinstance(payload, dict) or not _is_notice(payload)


def _is_notice(message: Object) -> bool:
    """Tell whether a message is a stub: WhatsApp's own words on what somebody did, maybe to somebody else."""
    stub = message.get("messageStubType")
    return not is_among(stub, NO_STUBS) and not is_among(stub, UNDECRYPTED_STUBS)


def owns(subjects: Subjects, shown: Object, name: str = "") -> bool:
    """Tell whether an object within a body, under the key `name`, is a subject's own."""
    if name.endswith(_CONTENT) and "message" not in shown:
        shown = {key: value for key, value in shown.items() if key != "key"}
    return any(rule(subjects, shown) for rule in _RULES)


def _message(subjects: Subjects, shown: Object) -> bool:
    """Know a message with its key; beside `update` or `reaction` the key may be that of somebody else's message."""
    key = shown.get("key")
    if not isinstance(key, dict) or "update" in shown or "reaction" in shown:
        return False
    if _is_notice(shown):
        return False
    authors = (read(dict(shown)) for read in MESSAGE.author)
    return is_subject(subjects, next(filter(None, authors), None))


def is_named_message(subjects: Subjects, shown: Object) -> bool:
    """Tell whether an object is a message that is a subject itself, or a copy of it, or what became of it."""
    key = shown.get("key")
    return subjects.by_name and isinstance(key, dict) and subjects.is_named(message_name(str(key.get("id"))))


def _item(subjects: Subjects, shown: Object) -> bool:
    """Know a vote, an answer to an invitation, or a receipt, in a message's list of them."""
    if any(is_subject(subjects, sender(name)(shown)) for name in _ITEM_KEYS if name in shown):
        return True
    return "userJid" in shown and is_subject(subjects, member(shown["userJid"]))


def _described(subjects: Subjects, shown: Object) -> bool:
    """Know a contact, an entry of a roster, a chat with the person alone."""
    return is_subject(subjects, member(shown))


def _contact_card(subjects: Subjects, shown: Object) -> bool:
    card = shown.get(_CARD)
    return isinstance(card, str) and subjects.redacted(card) is not card


_RULES: tuple[Callable[[Subjects, Object], bool], ...] = (_message, _item, _described, _contact_card)


def is_somebody_elses(subjects: Subjects, shown: Object) -> bool:
    """Tell whether an object is of one of these shapes, and another person's."""
    if owns(subjects, shown):
        return False
    is_message = isinstance(shown.get("key"), dict) and "message" in shown
    return is_message or _CARD in shown or any(name in shown for name in _ITEM_KEYS) or member(dict(shown)) is not None


def is_quote(subjects: Subjects, shown: Object) -> bool:
    """Tell whether an object quotes a subject: then what it quotes isn't the author's."""
    if _QUOTED not in shown:
        return False
    return is_subject(subjects, member(shown.get("participant"))) or subjects.is_named(
        message_name(str(shown.get("stanzaId")))
    )


def names_beside(subjects: Subjects, shown: Object) -> set[str]:
    """Return the keys of an object under which a subject's name stands, beside an address of the same person."""
    found: set[str] = set()
    for name, value in shown.items():
        if isinstance(value, str) and is_subject(subjects, member(value)):
            base = next(name.removesuffix(end) for end in reversed(ADDRESS_ENDINGS) if name.endswith(end))
            found |= {base + NAME_ENDING, *(_NAMES if base in {"participant", "id", "jid"} else ())}
    key: Any = shown.get("key")
    if isinstance(key, dict) and is_subject(subjects, sender("key")(dict(shown))):
        found |= set(_NAMES)
    cards = shown.get(_CARDS)
    if isinstance(cards, list) and any(isinstance(card, dict) and owns(subjects, card) for card in cards):
        found.add(_CARDS_NAME)
    if is_quote(subjects, shown):
        found.add(_QUOTED)
    return found & shown.keys()
