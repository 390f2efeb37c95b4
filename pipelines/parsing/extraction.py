"""Reads what one event's body shows: its group, author, people, name and time.

Belongs here: how a rule is applied, and what is made of what it finds. Not: where each type keeps these in its payload
(rules), what an address or a time looks like (jids, timestamps), nor anything that needs a second event (observations).
A type without a rule still has what its envelope and the common group fields say.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
import orjson

from pipelines.parsing.erased import has_erased
from pipelines.parsing.jids import Person, bare_phone, group_jid, known, person
from pipelines.parsing.paths import JSON, at
from pipelines.parsing.rules import (
    GROUP_PATHS,
    MESSAGE,
    METADATA_PAIRS,
    METADATA_TIMES,
    NO_STUBS,
    SUBJECT_STUBS,
    UNDECRYPTED_STUBS,
    Rule,
    is_among,
    member,
    rule_of,
)
from pipelines.parsing.timestamps import point_in_time

# The version of what a body shows. Raise it with each change of that: `status` then tells to rebuild the tables.
RULES_VERSION = 2
MAX_NAME = 255
ENVELOPE_CHATS = ("chat_jid", "group_jid")  # of the current contract, of the first one
NO_NAME = "-"  # WhatsApp's word for "no push name"
# Characters that nobody sees: white space, control and format characters, halves of surrogate pairs; and the fillers,
# blanks and variation selectors that Unicode counts as letters, symbols or marks. U+FFFD stands for NUL.
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
BLANK = frozenset({
    "\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0", "\ufffd",
    *map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))),
})  # fmt: skip
EPOCH = datetime.fromtimestamp(0, UTC)


class Extracted(msgspec.Struct, frozen=True, gc=False):
    """Everything that one body shows.

    `chat_jid` is the envelope's chat as sent. `members` are the other people in it, `pairs` further addresses shown as
    one person's, `descriptions` the objects that describe a person, as JSON. `subject` is the group's name,
    `subject_at` the time at which the group got it, where the body names one. `changed_at` is the latest change that
    the group's full metadata names, the epoch when it names none; None for anything but a full metadata.
    """

    group_jid: str | None = None
    chat_jid: str | None = None
    author: Person | None = None
    push_name: str | None = None
    occurred_at: datetime | None = None
    members: tuple[Person, ...] = ()
    pairs: tuple[Person, ...] = ()
    descriptions: tuple[tuple[Person, bytes], ...] = ()
    subject: str | None = None
    subject_at: datetime | None = None
    changed_at: datetime | None = None
    undecrypted: bool = False

    @property
    def is_full_metadata(self) -> bool:
        """Whether it is a group's metadata with its roster."""
        return self.changed_at is not None


def extract(event: Mapping[str, JSON]) -> Extracted:
    """Return what one body shows: the parsed, storable JSON object that the collector signed, of either contract."""
    payload = event.get("payload")
    if not isinstance(payload, dict):
        payload = {}
    rule = rule_of(event.get("type"), payload)
    stub = payload.get("messageStubType") if rule is MESSAGE else None
    shown = _first_author(rule, payload)
    members, descriptions = _others(rule, payload)
    pairs = tuple(_roles(payload)) if rule.metadata else ()
    people = (shown, *members, *pairs) if shown else (*members, *pairs)
    lids = _lids(people) if len(people) > 1 else {}
    if lids and any(each.phone in lids for each in people):
        shown = _corrected(shown, lids) if shown else None
        members, pairs = (tuple(_corrected(each, lids) for each in group) for group in (members, pairs))
        descriptions = tuple((_corrected(each, lids), text) for each, text in descriptions)
    stated = event.get("participant_jid")
    author, agrees = _author(_stated(stated, _lids(people), payload), shown) if stated else (shown, True)
    if shown and not agrees and len(shown.jids) > 1:
        pairs = (shown, *pairs)
    undecrypted = is_among(stub, UNDECRYPTED_STUBS)
    named = author and agrees and (undecrypted or is_among(stub, NO_STUBS))
    subject, subject_at = _subject(rule, stub, payload)
    return Extracted(
        group_jid=_first_group(event, payload),
        chat_jid=_chat(event),
        author=author,
        push_name=_push_name(payload, rule) if named else None,
        occurred_at=point_in_time(event.get("occurred_at")) or _first_time(payload, rule.time),
        members=members,
        pairs=pairs,
        descriptions=descriptions,
        subject=subject,
        subject_at=subject_at,
        changed_at=_changed_at(payload) if rule.metadata and (members or has_erased(payload)) else None,
        undecrypted=undecrypted,
    )


def _first_author(rule: Rule, payload: JSON) -> Person | None:
    for read in rule.author:
        if shown := read(payload):
            return shown
    return None


def _others(rule: Rule, payload: JSON) -> tuple[tuple[Person, ...], tuple[tuple[Person, bytes], ...]]:
    """Return the other people in a payload, and the objects that describe them."""
    if rule.people:
        return tuple(filter(None, rule.people(payload))), ()
    if rule.objects is None:
        return (), ()
    shown = [(member(each), each) for each in rule.objects(payload)]
    people = [(who, each) for who, each in shown if who]
    described = [(who, text) for who, each in people if isinstance(each, dict) and (text := _json(each))]
    return tuple(who for who, _ in people), tuple(described)


def _json(shown: JSON) -> bytes | None:
    """Write an object as JSON; None for one nested so deep, or with numbers so large, that it describes nobody."""
    try:
        return orjson.dumps(shown)
    except TypeError:
        return None


def _roles(payload: JSON) -> Iterator[Person]:
    """Yield who has a role in group metadata, where both addresses are shown."""
    for names in METADATA_PAIRS:
        shown = person(*map(payload.get, names))
        if shown and len(shown.jids) > 1:
            yield shown


def _lids(people: Iterable[Person]) -> dict[str, str | None]:
    """Return the digits of the LIDs that a body shows, each with the phone shown beside it."""
    lids: dict[str, str | None] = {}
    for each in people:
        if each.lid:
            lids[each.lid] = lids.get(each.lid) or each.phone
    return lids


def _corrected(shown: Person, lids: Mapping[str, str | None]) -> Person:
    """Return a person whose phone isn't the digits of one of these LIDs, which then was written as a phone."""
    if shown.phone is None or shown.phone not in lids:
        return shown
    return known(shown.lid, None) if shown.lid else known(shown.phone, lids[shown.phone])


def _stated(jid: JSON, lids: Mapping[str, str | None], payload: JSON) -> Person | None:
    """Return the person of the first contract's participant_jid, which may be a LID written as a phone."""
    stated = person(jid) or bare_phone(jid)
    if stated and stated.phone and not stated.lid and _shows_lid(payload, stated.phone, lids):
        return known(stated.phone, lids.get(stated.phone))
    return stated


def _shows_lid(payload: JSON, digits: str, lids: Mapping[str, str | None]) -> bool:
    """Tell whether a LID of these digits stands anywhere in a payload."""
    if digits in lids:
        return True
    waiting = [payload]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [*value.keys(), *value.values()]
        elif isinstance(value, list):
            waiting += value
        elif isinstance(value, str) and value.startswith(digits) and (shown := person(value)) and shown.lid == digits:
            return True
    return False


def _author(stated: Person | None, shown: Person | None) -> tuple[Person | None, bool]:
    """Return the author, and whether the payload speaks of that person.

    The envelope's wins; the payload adds the other address when one of them is the same.
    """
    if stated is None or shown is None:
        return stated or shown, True
    if not set(stated.jids).isdisjoint(shown.jids):
        return known(stated.lid or shown.lid, stated.phone or shown.phone), True
    return stated, False


def _first_group(event: Mapping[str, JSON], payload: JSON) -> str | None:
    """Return the envelope's group, else the first that the payload names."""
    for name in ENVELOPE_CHATS:
        if envelope := group_jid(event.get(name)):
            return envelope
    for path in GROUP_PATHS:
        if found := group_jid(at(payload, path)):
            return found
    return None


def _chat(event: Mapping[str, JSON]) -> str | None:
    """Return the envelope's chat as sent, of whatever kind it is."""
    for name in ENVELOPE_CHATS:
        if isinstance(chat := event.get(name), str):
            return chat
    return None


def _first_time(payload: JSON, paths: Sequence[str]) -> datetime | None:
    for path in paths:
        if moment := point_in_time(at(payload, path)):
            return moment
    return None


def _changed_at(payload: JSON) -> datetime:
    """Return the latest change that group metadata names; a time that is absent counts as 0."""
    return max(point_in_time(payload.get(name)) or EPOCH for name in METADATA_TIMES)


def _subject(rule: Rule, stub: JSON, payload: JSON) -> tuple[str | None, datetime | None]:
    """Return the group's name, and the time at which it got that name where the payload names one."""
    if is_among(stub, SUBJECT_STUBS):
        return _name(at(payload, "messageStubParameters.0")), _first_time(payload, rule.time)
    if rule.subject is None:
        return None, None
    return _name(payload.get(rule.subject)), _first_time(payload, (rule.subject_time,) if rule.subject_time else ())


def _push_name(payload: JSON, rule: Rule) -> str | None:
    name = _name(payload.get(rule.name))
    return None if name and _visible(name) == NO_NAME else name


def _name(name: JSON) -> str | None:
    """Return at most MAX_NAME characters of a name, None where none of them can be seen."""
    return name[:MAX_NAME] if isinstance(name, str) and _visible(name[:MAX_NAME]) else None


@lru_cache(1 << 14)
def _visible(name: str) -> str:
    """Return the characters of a name that can be seen; kept, for the same few people write most of the messages."""
    return "".join(filter(_is_visible, name))


def _is_visible(character: str) -> bool:
    return character not in BLANK and unicodedata.category(character) not in UNSEEN
