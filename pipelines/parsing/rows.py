"""One landed line to the row that the loader stages, or the reason why it can't be loaded.

Belongs here: what a line must be. Not: what its body shows (extraction), nor what Postgres makes of it (loading).
"""

import hashlib
import json
import re
import sys
from datetime import datetime
from typing import Any, NoReturn

import msgspec
import orjson

from pipelines.errors import WppLakeError
from pipelines.landing.authenticity import Verifier
from pipelines.landing.format import LandingLineError, decode_line, decode_tombstone, split_lines, storable
from pipelines.parsing.extraction import Extracted, extract

NOT_AUTHENTIC = "not_authentic"
MAX_TYPE = 100  # characters
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
# What jsonb refuses of numbers that are no double's infinity: it takes 131,072 digits before the point and 16,383 after
# it, and exponents below 2**31 - 1, even of zero. What begins with one letter is quickly found; it stands in digests in
# hexadecimal too, which only a look at the whole number tells from an exponent.
_EXPONENT = rb"(?:-0*[0-9]{4}|\+?[0-9]{9})"
_LOWER, _UPPER = re.compile(b"e" + _EXPONENT), re.compile(b"E" + _EXPONENT)
_EXTREME = re.compile(rb"[\s:,\[]-?[0-9]+(?:\.[0-9]+)?[eE]" + _EXPONENT)
_WRITTEN_OUT = re.compile(rb"[0-9][eE][+-]?[0-9]{2}")  # what jsonb writes as up to 1,001 digits, if it is a number's
DIGITS_WRITTEN_OUT = 1001
LONG_NUMBER = 2048  # digits
LONG_BYTES, HUGE_BYTES = 128 << 10, 16 << 20
LONGEST_INTEGER = 20  # digits, of 64 bits with a sign


class UnloadableError(WppLakeError):
    """A line that can't become a row. `reason` is a code of docs/tables.md, `detail` never holds the content."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Row(msgspec.Struct, frozen=True, gc=False):
    """One loadable line. `payload` is JSON text, as a rule no copy but a part of the line.

    `sanitized` tells that the body held NUL or lone surrogates; `doubtful`, that Postgres may refuse the payload and
    has to be asked before anything of the line is stored.
    """

    event_id: str  # in lower case
    type: str
    received_at: datetime
    payload: msgspec.Raw
    sanitized: bool
    body_sha256: bytes
    shown: Extracted
    doubtful: bool = False

    @property
    def observed_at(self) -> datetime:
        """The moment of which the body tells: the time it names, else that of its receipt."""
        return self.shown.occurred_at or self.received_at


class _Envelope(msgspec.Struct):
    payload: msgspec.Raw


class _Line(msgspec.Struct):
    body: _Envelope


_decoder = msgspec.json.Decoder(_Line)


def read_file(content: bytes, fault: str | None) -> list[bytes]:
    """Return a landing file's lines; `fault` says why the store didn't give it, if it didn't.

    Raises UnloadableError when it can't be read as a whole: not given, or not text and without one landed line.
    """
    if fault:
        raise UnloadableError("unreadable_file", fault)
    lines = split_lines(content)
    if not _is_text(content) and not any(map(_is_landed, lines)):
        raise UnloadableError("unreadable_file", f"{len(content)} bytes that aren't text")
    return lines


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content


def _is_landed(line: bytes) -> bool:
    try:
        decode_line(line)
    except LandingLineError:
        return False
    return True


def read_line(line: bytes, verifier: Verifier | None = None) -> Row:
    """Return the row of one landed line, which `verifier` must find signed. Raises UnloadableError."""
    try:
        event = decode_line(line)
        signed = event.signed
    except LandingLineError as error:
        if (tombstone := decode_tombstone(line)) and (verifier is None or verifier.is_tombstone(tombstone)):
            raise UnloadableError(tombstone.reason, f"erased by {tombstone.erased}: it was no event before") from None
        raise UnloadableError("bad_line", str(error)) from None
    if verifier and not verifier.is_signed(event, signed):
        raise UnloadableError(NOT_AUTHENTIC, "none of the secrets made its signature")
    text = storable(signed)
    body, doubtful = _parse(text)
    kind = body.get("type")
    if not isinstance(kind, str) or not 1 <= len(kind) <= MAX_TYPE:
        raise UnloadableError("bad_envelope", f"type is not a string of 1 to {MAX_TYPE} characters")
    return Row(
        event_id=_event_id(event.event_id),
        type=sys.intern(kind),
        received_at=event.received_at,
        # Where the line has the signed bytes apart, they are the event, whatever stands beside them.
        payload=_payload(storable(line) if event.raw is None else b'{"body":%b}' % text),
        sanitized=text is not signed,
        body_sha256=hashlib.sha256(signed).digest(),
        shown=extract(body),
        doubtful=doubtful,
    )


def _parse(text: bytes) -> tuple[dict[str, Any], bool]:
    """Parse a body, quickly where it can be, and tell whether Postgres may refuse it."""
    try:
        body, doubtful = orjson.loads(text), _is_doubtful(text)
    except orjson.JSONDecodeError:
        body, doubtful = _parse_carefully(text), True
    if not isinstance(body, dict):
        raise UnloadableError("bad_envelope", "the body is not an object")
    return body, doubtful


def _is_doubtful(text: bytes) -> bool:
    """Tell whether jsonb may refuse what the quick parser took.

    That is UTF-8, nested less than 1,024 deep, without NUL, lone surrogates or numbers past a double. What is left are
    numbers very long or very close to zero, zeros with a very large exponent, more elements or bytes than Postgres
    allocates at once, and so many large exponents that the text becomes huge.
    """
    if len(text) > HUGE_BYTES or ((_LOWER.search(text) or _UPPER.search(text)) and _EXTREME.search(text)):
        return True
    if len(text) > LONG_BYTES and DIGITS_WRITTEN_OUT * len(_WRITTEN_OUT.findall(text)) > HUGE_BYTES:
        return True
    # Twice as many digits fill one of these blocks.
    blocks = range(0, len(text) - LONG_NUMBER, LONG_NUMBER)
    return any(text[start : start + LONG_NUMBER].isdigit() for start in blocks) if blocks else False


def _parse_carefully(text: bytes) -> Any:
    """Parse what orjson refuses and jsonb may well store: numbers past a double."""
    try:
        return json.loads(text.decode(), parse_int=_integer, parse_constant=_refuse)
    except UnicodeDecodeError:
        raise UnloadableError("bad_utf8", "the body is not UTF-8") from None
    except (ValueError, RecursionError):
        raise UnloadableError("bad_json", "the body is not JSON that can be read") from None


def _integer(digits: str) -> float:
    """Read an integer, one that no rule asks for (Python reads at most some thousand digits) as a double."""
    return int(digits) if len(digits) <= LONGEST_INTEGER else float(digits)


def _refuse(_constant: str) -> NoReturn:
    raise ValueError


def _payload(line: bytes) -> msgspec.Raw:
    """Return the payload's JSON text as it was sent, so that no digit of a number is lost on the way."""
    try:
        return _decoder.decode(line).body.payload
    except msgspec.ValidationError:
        raise UnloadableError("bad_envelope", "payload is missing") from None


def _event_id(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise UnloadableError("bad_event_id", "event_id is not a UUID")
    return text.lower()
