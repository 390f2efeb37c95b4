"""The two contracts with the sender: who may send (signature) and what an event looks like (envelope).

Belongs here: pure functions of secrets, headers and raw bytes. Not: HTTP serving, storage, what a payload means.
"""

import hmac
import json
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Annotated, Any, Never

import msgspec
import orjson
from msgspec import Meta
from multidict import MultiMapping

from receiver.landing import Contract, signature

MAX_DEPTH = 512

_EVENT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NIL = "00000000-0000-0000-0000-000000000000"

# A whole JSON string, or an unterminated one up to the end of the text. Possessive, so that it never backtracks.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
# Read as signed bytes, an opening bracket is then a step of +1 and a closing one of -1.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))

Jid = Annotated[str, Meta(max_length=255)] | None


class Envelope(msgspec.Struct):
    """The keys that an event must have, and those it may have beside anything else. Lengths are in characters."""

    type: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]
    payload: Any
    chat_jid: Jid = None
    group_jid: Jid = None
    participant_jid: Jid = None


class Refusal(Exception):  # noqa: N818  (it is an answer to the sender, not a failure of ours)
    """A request that isn't accepted. `status` is HTTP's; the message is for the sender and never quotes the request."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.event_id: str | None = None


def check_media(headers: MultiMapping[str]) -> None:
    """Raise Refusal (415) unless the headers announce plain, uncompressed UTF-8 JSON."""
    if any(coding.strip().lower() != "identity" for coding in headers.getall("Content-Encoding", ())):
        raise Refusal(415, "Content-Encoding must be identity")
    if headers.get("Transfer-Encoding", "chunked").strip().lower() != "chunked":
        raise Refusal(415, "Transfer-Encoding must be chunked")
    types = headers.getall("Content-Type", ())
    if types != ["application/json"] and not (len(types) == 1 and _is_utf8_json(types[0])):
        raise Refusal(415, "Content-Type must be application/json in UTF-8")


def credentials(headers: MultiMapping[str]) -> tuple[str, str]:
    """Return the event id and the signature as sent, neither of them verified.

    Raises Refusal (401) unless both are given once and the signature looks like one.
    """
    event_id, given = _only(headers, "X-Event-Id"), _only(headers, "X-Signature")
    if not _SIGNATURE.fullmatch(given):
        raise Refusal(401, "X-Signature must be 64 lowercase hexadecimal digits")
    return event_id, given


def verify(secrets: Sequence[bytes], contract: Contract, event_id: str, given: str, body: bytes) -> int:
    """Return the place of the secret that made a signature.

    Raises Refusal: 401 when none of them did, 400 when the signed id is not a UUID or is the nil one.
    """
    signed_id = event_id.encode("utf-8", "surrogateescape")  # as the bytes that were sent
    # A list, not a generator: every secret is tried, so that the time taken tells nothing about which one it was.
    matches = [hmac.compare_digest(signature(secret, contract, signed_id, body), given) for secret in secrets]
    if True not in matches:
        raise Refusal(401, "X-Signature does not verify")
    if not _EVENT_ID.fullmatch(event_id) or event_id == _NIL:
        raise Refusal(400, "X-Event-Id must be a UUID, and not the nil one")
    return matches.index(True)


def check_envelope(body: bytes) -> None:
    """Raise Refusal (422) unless the body is one strict JSON object that is an Envelope."""
    if _too_deep(body):
        raise Refusal(422, f"the body is nested deeper than {MAX_DEPTH}")
    try:
        msgspec.convert(_document(body), Envelope)
    except msgspec.ValidationError as error:  # says what was expected and where, and quotes nothing
        raise Refusal(422, f"the body is not an event: {error}") from error
    except ValueError as error:
        raise Refusal(422, "the body must be one JSON document in UTF-8") from error


def _is_utf8_json(content_type: str) -> bool:
    """Tell whether a Content-Type is JSON's, whatever its parameters, unless they name another charset."""
    kind, *parameters = content_type.lower().split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    charsets = {value.strip(' "') for name, _, value in pairs if name.strip() == "charset"}
    return kind.strip() == "application/json" and charsets <= {"utf-8"}


def _only(headers: MultiMapping[str], name: str) -> str:
    """Return the value of a header that must be there once. Raises Refusal (401)."""
    values = headers.getall(name, ())
    if len(values) != 1:
        raise Refusal(401, f"{name} must be given once")
    return values[0]


def _document(body: bytes) -> Any:
    """Parse strict RFC 8259 JSON. Raises ValueError.

    orjson refuses what is valid all the same, lone surrogate escapes and numbers beyond a double: those are left to
    the standard library, which reads an integer of any length as a double. Of an object only what an Envelope has is
    given back, for other keys may hold lone surrogates, which no converter takes.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        found = json.loads(body.decode(), parse_constant=_no_constant, parse_int=float)
    if not isinstance(found, dict):
        return found
    return {name: found[name] for name in Envelope.__struct_fields__ if name in found}


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _too_deep(body: bytes) -> bool:
    """Tell whether brackets outside of strings nest deeper than MAX_DEPTH, whether or not the body is JSON."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", body).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(brackets).cast("b")), default=0) > MAX_DEPTH
