"""Looks for subjects' numbers in bytes that nobody has parsed, quickly: most lines hold none.

Belongs here: one look over a text, whatever it is, and what its escapes hide. Not: what is taken out (walker), which
digits are a number (subjects).
"""

import binascii
import re
from collections.abc import Iterator
from functools import lru_cache

from pipelines.redaction.subjects import BETWEEN, SHORTEST, Subjects

SHORTEST_BASE64 = 16  # characters; shorter ones are known by the digits alone
_REMEMBERED = 64  # bytes of base64, at most
LIMIT = 256  # of a byte
_BLANK, _PART = 32, ord("-")
_DIGITS = b"0123456789"
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE = {ord("-"): ord("+"), ord("_"): ord("/")}
# Six digits as base64 writes them, wherever its groups of four begin; eight have six such.
DIGITS_IN_BASE64 = re.compile(r"(?:[MNO][DTjz][AEIMQUYcgk][wxyz0-5]){2}")
_OF_DIGITS_IN_BASE64 = b"MNODTjzAEIMQUYcgkwxyz012345"


def _table(kept: bytes, others: dict[int, int]) -> bytes:
    return bytes(byte if byte in kept else others.get(byte, _BLANK) for byte in range(256))


BASE64 = re.compile(r"[A-Za-z0-9+/_-]{11,}={0,2}")
# Each keeps some bytes, so that what is between blanks are the pieces to look at. Whatever isn't ASCII may stand
# between the digits of a number: what that is exactly, a second look tells.
_NUMBERS = _table(_DIGITS, dict.fromkeys((*BETWEEN.encode(), *range(128, 256)), _PART))
_RUNS = _table(_BASE64, _URL_SAFE)
_DIGIT_RUNS = _table(_OF_DIGITS_IN_BASE64, {})

# What hides digits: escapes, a letter of one before base64, and bytes written as lists of numbers.
_ESCAPED = re.compile(rb"\\(?:[ut/]|[bfnr][A-Za-z0-9+/_-]{11})")
_BUFFER, _FIRST_BYTE = re.compile(rb'Buffer\\*"'), re.compile(rb'"0\\*"\s*:')


def may_hold(subjects: Subjects, text: str | bytes) -> bool:
    """Tell whether a text, JSON or not, may hold a subject's number, quickly; False is certain."""
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return _hides(data) or _has_number(subjects, data) or _has_base64(subjects, data)


def _hides(data: bytes) -> bool:
    if b"\\" in data and _ESCAPED.search(data):
        return True
    return (b"Buffer" in data and _BUFFER.search(data) is not None) or (
        b'"0' in data and _FIRST_BYTE.search(data) is not None
    )


def _has_number(subjects: Subjects, data: bytes) -> bool:
    is_in = subjects.is_in
    for piece in data.translate(_NUMBERS).split():
        if len(piece) >= SHORTEST and is_in(piece):
            return True
    if not any(_is_odd(before) for before in data.split(b"@")[:-1]):
        return False
    return next(subjects.found(data.decode("utf-8", "replace")), None) is not None


def _is_odd(before_at: bytes) -> bool:
    """Tell whether what stands before an @ ends with few digits: a short address, or one with a device."""
    end = before_at[-SHORTEST:]
    return end[-1:].isdigit() and not (len(end) == SHORTEST and end.isdigit())


def _has_base64(subjects: Subjects, data: bytes) -> bool:
    for run in data.translate(_RUNS).split():
        if len(run) >= SHORTEST_BASE64:
            content = _short_telling(run) if len(run) <= _REMEMBERED else _telling(run)
            if content and may_hold(subjects, content):
                return True
    digits = (run for run in data.translate(_DIGIT_RUNS).split() if len(run) >= SHORTEST)
    return any(DIGITS_IN_BASE64.search(run.decode()) for run in digits)


def _telling(run: bytes) -> bytes:
    """Return what base64 says, nothing if neither digits are in it nor is it a text."""
    content = _decoded(run)
    if any(len(piece) >= SHORTEST for piece in content.translate(_NUMBERS).split()):
        return content
    try:
        content.decode()
    except UnicodeDecodeError:
        return b""
    return content


_short_telling = lru_cache(1 << 14)(_telling)


def decodings(run: str) -> Iterator[bytes]:
    """Yield what a run of base64's letters says, read from its beginning or later, if it seems to hold digits."""
    data = run.rstrip("=").encode().translate(_RUNS)
    if len(data) >= SHORTEST_BASE64:
        yield _decoded(data)
    if DIGITS_IN_BASE64.search(run):
        yield from (_decoded(data[start:]) for start in range(0 if len(data) < SHORTEST_BASE64 else 1, 4))


def _decoded(run: bytes) -> bytes:
    left = len(run) % 4
    return binascii.a2b_base64(run[:-1] if left == 1 else run + b"=" * (-left % 4))


_ESCAPE = re.compile(r"\\+(?:u([0-9a-fA-F]{4})|([tnr/]))")
_OF_LETTERS = {"t": "\t", "n": "\n", "r": "\r", "/": "/"}
_LISTED = re.compile(r'(?:(?:"[0-9]+"\s*:\s*)?[0-9]{1,3}\s*,\s*){7,}(?:"[0-9]+"\s*:\s*)?[0-9]{1,3}')
_LISTED_BYTE = re.compile(r"([0-9]{1,3})\s*(?:,|\Z)")


def unescaped(text: str) -> Iterator[str]:
    """Yield a text, what it says without its escapes, and what its lists of bytes say: of JSON that can't be parsed."""
    yield text
    plain = _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)) if escape[1] else _OF_LETTERS[escape[2]], text)
    if plain != text:
        yield plain
    for listed in _LISTED.finditer(plain.replace('\\"', '"')):
        numbers = [int(each[1]) for each in _LISTED_BYTE.finditer(listed[0])]
        if max(numbers) < LIMIT:
            yield bytes(numbers).decode("latin-1")
