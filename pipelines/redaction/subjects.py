"""The people and things that an erasure is about, known by keyed digests alone.

Belongs here: canonical names of subjects, and how a number that is found anywhere is compared with them. Not: where in
a body they stand (walker), the list itself (erasures).
"""

import hmac
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from pipelines.parsing.extraction import ERASED

SHORTEST = 8  # digits of a number that counts wherever it stands; in an address fewer do
LONGEST = 20
LONGEST_PHONE = 15  # digits, by E.164

# Digits, and what people write between those of a phone number.
_WRITTEN = re.compile(r"[0-9](?:[ \t().+/\u00a0\u2010-\u2015-]{0,3}[0-9])+")
_DIGITS = re.compile(r"[0-9]+")
_OF_ADDRESS = re.compile(r"(?:[._][0-9]+)?(?::[0-9]+)?@")  # what follows an address' digits
# Brazil's: numbers are written without the country too, and mobile ones had no 9 before their eight digits once.
_COUNTRY = "55"
_NATIONAL = (10, 11)
_MOBILE = re.compile(r"(55[1-9][0-9])(9?)([6-9][0-9]{7})")


def phone_name(digits: str) -> str:
    """Return the canonical name of a phone."""
    return f"{digits}@s.whatsapp.net"


def lid_name(digits: str) -> str:
    """Return the canonical name of a LID."""
    return f"{digits}@lid"


def event_name(event_id: str) -> str:
    """Return the canonical name of an event."""
    return f"event:{event_id.lower()}"


def message_name(message_id: str) -> str:
    """Return the canonical name of a message, by which its copies and quotes are found."""
    return f"message:{message_id}"


def digest(key: bytes, name: str) -> str:
    """Return the keyed digest of a canonical name, in hex."""
    return hmac.digest(key, name.encode(), "sha256").hex()


class Subjects:
    """The subjects of one or several erasures; `by_name` tells that some are no numbers, but events or groups."""

    def __init__(self, key: bytes, digests: Iterable[str], *, by_name: bool = False) -> None:
        self._key, self._digests, self.by_name = key, frozenset(digests), by_name
        self.is_named = lru_cache(1 << 16)(self._is_named)
        self.is_number = lru_cache(1 << 16)(self._is_number)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def _is_named(self, name: str) -> bool:
        """Tell whether a canonical name is a subject's."""
        return digest(self._key, name) in self._digests

    def _is_number(self, digits: str) -> bool:
        """Tell whether these digits are a subject's phone, in one of the spellings of it, or LID."""
        phones = map(phone_name, spellings(digits))
        return self._is_named(lid_name(digits)) or any(map(self._is_named, phones))

    def redacted(self, text: str) -> str:
        """Return a text without the subjects' numbers; the same object where it has none."""
        spans = list(self.found(text))
        if not spans:
            return text
        parts, end = [], 0
        for start, stop in spans:
            parts += [text[end:start], ERASED]
            end = stop
        return "".join(parts) + text[end:]

    def found(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield where subjects' numbers stand in a text, from left to right."""
        for run in _WRITTEN.finditer(text):
            yield from self._in_run(text, *run.span())

    def _in_run(self, text: str, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the subjects' numbers in a run of digits, each the longest that begins at a group of them."""
        groups = [match.span() for match in _DIGITS.finditer(text, start, stop)]
        first = 0
        while first < len(groups):
            last = self._longest(text, groups, first)
            if last is None:
                first += 1
            else:
                yield groups[first][0], groups[last][1]
                first = last + 1

    def _longest(self, text: str, groups: list[tuple[int, int]], first: int) -> int | None:
        digits, found = "", None
        for last in range(first, len(groups)):
            digits += text[slice(*groups[last])]
            if len(digits) > (LONGEST if last == first else LONGEST_PHONE):
                break
            long_enough = len(digits) >= SHORTEST or _OF_ADDRESS.match(text, groups[last][1])
            if long_enough and self.is_number(digits):
                found = last
        return found


def spellings(digits: str) -> Iterator[str]:
    """Yield a number as it may be a phone's in full: as it is, and with what people in Brazil leave out."""
    for each in (digits, _COUNTRY + digits) if len(digits) in _NATIONAL else (digits,):
        yield each
        if mobile := _MOBILE.fullmatch(each):
            area, nine, rest = mobile.groups()
            yield area + ("" if nine else "9") + rest
