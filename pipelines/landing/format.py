"""The landing format, read: a file's lines, and the event of each. `receiver.landing` writes them.

Belongs here: what a reader accepts as a landed line. Not: what its body must be (parsing), tables.
"""

import base64
import re
from datetime import UTC, datetime

import msgspec

from pipelines.errors import WppLakeError
from receiver.landing import Contract

_QUOTED = re.compile(r"""(['"]).*\1""", re.DOTALL)  # where the parser's messages repeat what they refuse

# A quick look that finds every line to rewrite, and the escapes of such a line one after the other, so that an
# escaped backslash before `u0000` and the two halves of a surrogate pair are seen for what they are.
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a surrogate pair
    rb"|(?P<unstorable>u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb"|.)",
    re.DOTALL,
)


class LandingLineError(WppLakeError, ValueError):
    """A landed line that isn't one: not JSON, a key missing, or a value of the wrong kind."""


class LandedEvent(msgspec.Struct, frozen=True):
    """One landed line. `body` is the verbatim JSON text; `signed` gives the bytes that the sender signed.

    A line from which somebody was erased has no signature: `erased` is the id of the erasure, `mac` what vouches for
    it, and what `signed` gives is the body as it was written then.
    """

    event_id: str
    received_at: datetime
    contract: Contract
    body: msgspec.Raw
    signature: str = ""
    raw: str | None = None
    erased: str | None = None
    mac: str = ""

    @property
    def signed(self) -> bytes:
        """The exact bytes that the signature covers."""
        if self.raw is None:
            return bytes(self.body)
        try:
            return base64.b64decode(self.raw, validate=True)
        except ValueError as error:
            raise LandingLineError("raw is not base64") from error


class Tombstone(msgspec.Struct, frozen=True):
    """The rest of a line that was no event, and held somebody who was erased; `reason` is why it was none."""

    erased: str
    reason: str
    mac: str = ""


_decoder = msgspec.json.Decoder(LandedEvent)
_tombstones = msgspec.json.Decoder(Tombstone)


def split_lines(content: bytes) -> list[bytes]:
    """Return a landing file's lines. Only a newline ends one; a last line without it is a line like the others."""
    return content.removesuffix(b"\n").split(b"\n") if content else []


def storable(text: bytes) -> bytes:
    """Return JSON text with its NUL and lone-surrogate escapes replaced by U+FFFD's, every other byte in its place.

    Both are valid JSON that databases and strict parsers refuse. Text that has none is returned as it is.
    """
    if b"\\" not in text or not _SUSPECT.search(text):
        return text
    replaced = _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["unstorable"] else escape[0], text)
    return text if replaced == text else replaced


def decode_line(line: bytes) -> LandedEvent:
    """Parse one landed line, keys in any order and spacing; the body is found, not checked.

    Raises LandingLineError; its message never holds the line's content.
    """
    text = storable(line)
    try:
        event = _decoder.decode(text)
    except UnicodeDecodeError:
        raise LandingLineError("a value is not UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise LandingLineError(_QUOTED.sub("a value", str(error))) from error
    if not event.signature and not event.erased:
        raise LandingLineError("Object missing required field `signature`")
    if event.received_at.tzinfo is not UTC:
        _check_time(event.received_at)
    if text is line:
        return event
    start = text.rindex(bytes(event.body))  # the receiver's last; a replaced escape is as long as what it replaces
    return msgspec.structs.replace(event, body=msgspec.Raw(line[start : start + len(bytes(event.body))]))


def decode_tombstone(line: bytes) -> Tombstone | None:
    """Return the tombstone that a line is, None for any other line."""
    try:
        return _tombstones.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _check_time(received_at: datetime) -> None:
    """Raise LandingLineError unless this is a time with an offset that is one in UTC too."""
    if received_at.tzinfo is None:
        raise LandingLineError("received_at has no offset")
    try:
        received_at.astimezone(UTC)
    except OverflowError:
        raise LandingLineError("received_at is no time in UTC") from None
