"""The landing format: object keys and JSON lines, written by the receiver and read by the pipelines.

Belongs here: what a landing file is called and what one of its lines holds. Not: HTTP, object stores, tables.
"""

import base64
import hmac
import re
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import msgspec
import uuid_utils

PREFIX = "whatsapp/"
Contract = Literal["current", "first"]
DIGEST = "sha256"  # the metadata with which a landing file is put: the SHA-256 of its bytes, in hex
_QUOTED = re.compile("'.*'", re.DOTALL)  # where the parser's messages repeat what they refuse
_NEWLINES_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")

# A quick look that finds every line to rewrite, and the escapes of such a line one after the other, so that an
# escaped backslash before `u0000` and the two halves of a surrogate pair are seen for what they are.
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a surrogate pair
    rb"|(?P<unstorable>u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|.)",
    re.DOTALL,
)


class LandingLineError(ValueError):
    """A landed line that isn't one: not JSON, a key missing, or a value of the wrong kind."""


class LandedEvent(msgspec.Struct, frozen=True):
    """One landed line. `body` is the verbatim JSON text; `signed` gives the bytes that the sender signed."""

    event_id: str
    received_at: datetime
    contract: Contract
    signature: str
    body: msgspec.Raw
    raw: str | None = None

    @property
    def signed(self) -> bytes:
        """The exact bytes that the signature covers."""
        if self.raw is None:
            return bytes(self.body)
        try:
            return base64.b64decode(self.raw, validate=True)
        except ValueError as error:
            raise LandingLineError("raw is not base64") from error


_decoder = msgspec.json.Decoder(LandedEvent)


def signature(secret: bytes, contract: Contract, event_id: bytes, body: bytes) -> str:
    """Return what the collector sends as X-Signature: lowercase hex HMAC-SHA256 of what the contract signs."""
    signed = body if contract == "first" else event_id + b"." + body
    return hmac.digest(secret, signed, "sha256").hex()


def hour_prefix(moment: datetime) -> str:
    """Return the key prefix of the UTC hour that holds `moment`: `whatsapp/date=YYYY-MM-DD/hour=HH/`."""
    utc = moment.astimezone(UTC)
    return f"{PREFIX}date={utc:%Y-%m-%d}/hour={utc:%H}/"


def new_key(received_at: datetime) -> str:
    """Return a key never used before, in the hour of `received_at`; time-ordered within one clock (UUIDv7)."""
    return f"{hour_prefix(received_at)}{UUID(int=uuid_utils.uuid7().int)}.jsonl"


def encode_line(event_id: str, received_at: datetime, contract: Contract, signature: str, body: bytes) -> bytes:
    """Return the landed line of one verified event, its newline included.

    The caller has verified that `event_id` is a UUID, `signature` lowercase hex and `body` one strict JSON document,
    so that raw CR and LF can only stand between tokens, where a space means the same. They, and blanks around the
    body, which no JSON parser would give back, are kept in `raw`.
    """
    head = (
        f'{{"event_id":"{event_id}","received_at":"{_utc(received_at)}",'
        f'"contract":"{contract}","signature":"{signature}",'
    )
    if b"\n" in body or b"\r" in body or body != body.strip(b" \t"):
        head += f'"raw":"{base64.b64encode(body).decode()}",'
        body = body.translate(_NEWLINES_TO_SPACES)
    return b'%b"body":%b}\n' % (head.encode(), body)


def _utc(moment: datetime) -> str:
    """Return a moment in UTC with microseconds, as RFC 3339 has it; several times as fast as strftime."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def split_lines(content: bytes) -> list[bytes]:
    """Return a landing file's lines. Only a newline ends one; a last line without it is a line like the others."""
    return content.removesuffix(b"\n").split(b"\n") if content else []


def storable(text: bytes) -> bytes:
    """Return JSON text with its NUL and lone-surrogate escapes replaced by U+FFFD's, every other byte in its place.

    Both are valid JSON that databases and strict parsers refuse. Text that has none is returned as it is.
    """
    if not _SUSPECT.search(text):
        return text
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["unstorable"] else escape[0], text)


def decode_line(line: bytes) -> LandedEvent:
    """Parse one landed line, keys in any order and spacing; the body is found, not checked.

    Raises LandingLineError; its message never holds the line's content.
    """
    text = storable(line)
    try:
        event = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LandingLineError(_QUOTED.sub("a value", str(error))) from error
    try:
        event.received_at.astimezone(UTC)
    except OverflowError:
        raise LandingLineError("received_at is no time in UTC") from None
    if event.received_at.tzinfo is None:
        raise LandingLineError("received_at has no offset")
    if text is line:
        return event
    start = text.index(bytes(event.body))  # a replaced escape is as long as what it replaces
    return msgspec.structs.replace(event, body=msgspec.Raw(line[start : start + len(bytes(event.body))]))
