"""The people and things that an erasure is about, known by keyed digests alone.

Belongs here: canonical names of subjects, and how a number that is found anywhere is compared with them. Not: where in
a body they stand (walker), the list itself (erasures).
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from pipelines.parsing.erased import ERASED

SHORTEST = 8  # digits of a number that counts wherever it stands; in an address fewer do
LONGEST = 20
LONGEST_PHONE = 15  # digits, by E.164

# Digits, and what stands between those of a phone number: blanks, dashes, bold and italics, marks that nobody sees.
BETWEEN = " \t().+/*_~-"  # in ASCII
_BETWEEN = BETWEEN.replace("-", r"\-") + r"\xa0\xad\xb7\u2000-\u2015\u2022\u202a-\u202f\u2060-\u2069\u2212\ufeff"
_WRITTEN = re.compile(rf"[0-9](?:[{_BETWEEN}]{{0,5}}[0-9])+")
_DIGITS = re.compile(r"[0-9]+")
_OF_ADDRESS = re.compile(r"(?:[._][0-9]+)?(?::[0-9]+)?@")  # what follows an address' digits
# Brazil's: numbers are written without the country too, and mobile ones had no 9 before their eight digits once.
_COUNTRY = "55"
_NATIONAL = (10, 11)
_MOBILE = re.compile(r"(55[1-9][0-9])(9?)([6-9][0-9]{7})")
_CARRIER = re.compile(r"0[1-9][0-9](?=[0-9]{10,11}\Z)")  # dialled before a number of another area
_REMEMBERED = 256  # bytes of a piece, at most
_BLOCK = 64  # bytes, SHA-256's


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


def _digester(key: bytes) -> Callable[[str], bytes]:
    """Return `digest` with this key, in bytes. What it begins with is made once: that takes half of the time."""
    padded = (key if len(key) <= _BLOCK else hashlib.sha256(key).digest()).ljust(_BLOCK, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in padded)) for pad in (0x36, 0x5C))  # as RFC 2104 says

    def make(name: str) -> bytes:
        within, around = inner.copy(), outer.copy()
        within.update(name.encode())
        around.update(within.digest())
        return around.digest()

    return make


class Subjects:
    """The subjects of one or several erasures; `by_name` tells that some are no numbers, but events or groups."""

    def __init__(self, key: bytes, digests: Iterable[str], *, by_name: bool = False) -> None:
        self._digests, self.by_name = frozenset(map(bytes.fromhex, digests)), by_name
        self._digest = _digester(key)
        self.is_named = lru_cache(1 << 16)(self._is_named)
        self.is_number = lru_cache(1 << 16)(self._is_number)
        self._is_in_short = lru_cache(1 << 16)(self._is_in)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def _is_named(self, name: str) -> bool:
        """Tell whether a canonical name is a subject's."""
        return self._digest(name) in self._digests

    def _is_number(self, digits: str) -> bool:
        """Tell whether these digits are a subject's phone, in one of the spellings of it, or LID."""
        if self._is_named(lid_name(digits)):
            return True
        return any(self._is_named(phone_name(phone)) for each in _undialled(digits) for phone in spellings(each))

    def is_whole_number(self, digits: str) -> bool:
        """Tell the same of digits that are no phone without its country: ten of them are a time, most often."""
        if len(digits) not in _NATIONAL:
            return SHORTEST <= len(digits) <= LONGEST and self.is_number(digits)
        return self._is_named(lid_name(digits)) or self._is_named(phone_name(digits))

    def is_in(self, piece: bytes) -> bool:
        """Tell whether groups of digits, with hyphens between them, hold a subject's number."""
        return self._is_in_short(piece) if len(piece) <= _REMEMBERED else self._is_in(piece)

    def _is_in(self, piece: bytes) -> bool:
        groups = piece.decode().replace("-", " ").split()
        return any(self._longest(groups, first) is not None for first in range(len(groups)))

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
        spans = [match.span() for match in _DIGITS.finditer(text, start, stop)]
        groups = [text[begin:end] for begin, end in spans]
        first = 0
        while first < len(groups):
            last = self._longest(groups, first)
            if last is None and len(groups[first]) < SHORTEST and _OF_ADDRESS.match(text, spans[first][1]):
                last = first if self.is_number(groups[first]) else None
            if last is None:
                first += 1
            else:
                yield spans[first][0], spans[last][1]
                first = last + 1

    def _longest(self, groups: list[str], first: int) -> int | None:
        """Return the last group of the longest number of a subject that begins at this one."""
        digits, found = "", None
        for last in range(first, len(groups)):
            digits += groups[last]
            if len(digits) > (LONGEST if last == first else LONGEST_PHONE):
                break
            if len(digits) >= SHORTEST and self.is_number(digits):
                found = last
        return found


def _undialled(digits: str) -> Iterable[str]:
    """Return a number without what is dialled before it: zeros, a carrier's number."""
    return {digits, digits.lstrip("0"), _CARRIER.sub("", digits)} if digits.startswith("0") else (digits,)


def spellings(digits: str) -> Iterator[str]:
    """Yield a number as it may be a phone's in full: as it is, and with what people in Brazil leave out."""
    for each in (digits, _COUNTRY + digits) if len(digits) in _NATIONAL else (digits,):
        yield each
        if each.startswith(_COUNTRY) and (mobile := _MOBILE.fullmatch(each)):
            area, nine, rest = mobile.groups()
            yield area + ("" if nine else "9") + rest
