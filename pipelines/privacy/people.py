"""Tells who is meant by a phone number, a LID, an event's id or a group's: every name under which the lake has it.

Belongs here: resolving and what stands in its way. Not: what there is of a subject (plan), taking it out (apply).
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.errors import WppLakeError
from pipelines.parsing.jids import group_jid, person
from pipelines.redaction.erasures import ErasureList, Kind, subjects_of
from pipelines.redaction.subjects import event_name, lid_name, message_name, phone_name, spellings

_SEPARATORS = re.compile(r"[ ().+/-]")
_PHONE = re.compile(r"[0-9]{8,15}")


class WhoError(WppLakeError, ValueError):
    """It can't be told who is meant; the message says why, and how to say it."""


@dataclass(frozen=True)
class Who:
    """A subject: its canonical names, and what a person should know of how they were found."""

    kind: Kind
    names: tuple[str, ...]
    told: tuple[str, ...] = ()


def of_person(conn: Connection, text: str, own: Collection[str] = (), others: Collection[str] = ()) -> Who:
    """Return a person by phone or LID: the phone in its spellings, with every LID that was ever shown with it.

    A LID that was shown with somebody else's phone too changed hands: it must be among those said to be the person's
    `own`, or of `others`. Raises WhoError.
    """
    own, others = set(map(_lid, own)), set(map(_lid, others))
    phones = _phones(conn, text)
    text = text if phones else _lid(text)
    pairs = _pairs(conn, [*map(phone_name, phones), *([text] if not phones else [])])
    if not phones and text in own | others:
        raise WhoError(f"{text} is both who is meant and one of its LIDs: name the phone")
    by_lid: dict[str, set[str]] = defaultdict(set)
    for lid, phone in pairs:
        by_lid[lid].add(phone)
    if not phones:
        shown_with = by_lid.get(text, set())
        if len(shown_with) > 1:
            raise WhoError(
                f"{text} was shown with several phones, so it changed hands: name one of {_listed(shown_with)}"
            )
        if not shown_with:
            return Who("person", (text,))
        return of_person(conn, next(iter(shown_with)), own, others)
    mine = set(map(phone_name, phones))
    everything = _pairs(conn, sorted(by_lid))
    strangers: dict[str, set[str]] = defaultdict(set)
    for lid, phone in everything:
        if phone not in mine:
            strangers[lid].add(phone)
    if unclear := set(by_lid) & set(strangers) - own - others:
        others_of = _listed({phone for lid in unclear for phone in strangers[lid]})
        raise WhoError(
            f"{_listed(unclear)} changed hands: shown with {others_of} too. "
            "Say of each whether it is meant: --lid LID, or --not-lid LID"
        )
    lids = (set(by_lid) | own) - others
    told = [f"{lid} was shown with {_listed(strangers[lid])} too" for lid in sorted(lids & set(strangers))]
    told += [f"{lid} is left out, though it was shown with the phone" for lid in sorted(set(by_lid) & others)]
    return Who("person", (*sorted(mine), *sorted(lids)), tuple(told))


def of_event(conn: Connection, event_id: UUID) -> Who:
    """Return an event, and the message that it brought, by whose id copies and quotes are found. Raises WhoError."""
    found = conn.execute(query("erasure/message"), {"event_id": event_id}).fetchone()
    if found is None:
        raise WhoError(f"no event has the id {event_id}")
    return Who("event", (event_name(str(event_id)), *(message_name(each) for each in found if each)))


def of_group(listed: ErasureList, text: str) -> Who:
    """Return a group by its address, and by the one under which it goes on if it held the number of somebody erased.

    Raises WhoError, and ErasureKeyError where people were erased.
    """
    if not group_jid(text):
        raise WhoError("a group's address ends in @g.us")
    erased = [each for each in listed.entries() if each.kind == "person"]
    now = subjects_of(listed.key(), erased).redacted(text) if erased else text
    return Who("group", (text,)) if now == text else Who("group", (text, now), (f"{text} goes on as {now}",))


def _lid(text: str) -> str:
    shown = person(text if "@" in text else lid_name(text))
    if shown is None or shown.lid is None:
        raise WhoError("a LID is written as 123456789012345@lid")
    return lid_name(shown.lid)


def _phones(conn: Connection, text: str) -> list[str]:
    """Return the digits of the phone that a text names, in the spellings that the lake knows; none for a LID."""
    if "@" in text:
        shown = person(text)
        if shown is None:
            raise WhoError("that is neither a phone number nor an address as 123456789012345@lid")
        if shown.lid:
            return []
        digits = shown.phone or ""
    else:
        digits = _SEPARATORS.sub("", text)
        if not _PHONE.fullmatch(digits):
            raise WhoError("a phone number has 8 to 15 digits, the country's first; a LID is written with @lid")
    spelled = list(spellings(digits))
    known = _known(conn, map(phone_name, spelled))
    if not known and _known(conn, [lid_name(digits)]):
        raise WhoError(f"these digits are known as a LID and not as a phone: write {lid_name('<digits>')}")
    return [each for each in spelled if phone_name(each) in known] or [digits]


def _known(conn: Connection, jids: Iterable[str]) -> set[str]:
    return {jid for (jid,) in conn.execute(query("erasure/known_jids"), {"jids": list(jids)})}


def _pairs(conn: Connection, jids: list[str]) -> list[tuple[Any, ...]]:
    return conn.execute(query("erasure/pairs"), {"jids": jids}).fetchall()


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
