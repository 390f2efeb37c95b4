"""The two contracts with the sender: who may send (signature) and what an event looks like (envelope).

Belongs here: pure functions of secrets, headers and raw bytes. Not: HTTP serving, storage, what a payload means.
"""

import hmac
import json
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Never

import orjson
from multidict import MultiMapping

from receiver.landing import Contract, signature

MAX_DEPTH = 512
MAX_TYPE = 100
MAX_JID = 255

_EVENT_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_NIL = "00000000-0000-0000-0000-000000000000"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

# A whole JSON string, or an unterminated one up to the end of the text. Possessive, so that it never backtracks.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
# Read as signed bytes, an opening bracket is then a step of +1 and a closing one of -1.
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))


class Refusal(Exception):  # noqa: N818  (it is an answer to the sender, not a failure of ours)
    """A request that isn't accepted. `status` is HTTP's; `error` is for the sender and never quotes the request."""

    def __init__(self, status: int, error: str, event_id: str | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.event_id = event_id


def check_media(headers: MultiMapping[str]) -> None:
    """Raise Refusal (415) unless the headers announce plain, uncompressed UTF-8 JSON."""
    if any(coding.strip().lower() != "identity" for coding in headers.getall("Content-Encoding", [])):
        raise Refusal(415, "Content-Encoding must be identity")
    types = headers.getall("Content-Type", [])
    if types != ["application/json"] and not (len(types) == 1 and _is_utf8_json(types[0])):
        raise Refusal(415, "Content-Type must be application/json in UTF-8")


def verify(secrets: Sequence[bytes], contract: Contract, headers: MultiMapping[str], body: bytes) -> tuple[str, str]:
    """Return the event id as sent and the signature, in lowercase hex, of an authentic request.

    Raises Refusal: 401 when no secret made its signature, 400 when the signed id is not a UUID or is the nil one.
    """
    given, event_id = _only(headers, "X-Signature"), _only(headers, "X-Event-Id")
    sent, signed_id = _wire(given), _wire(event_id)
    # A list, not a generator: every secret is tried, so that the time taken tells nothing about which one it was.
    matches = [hmac.compare_digest(signature(secret, contract, signed_id, body).encode(), sent) for secret in secrets]
    if True not in matches:
        raise Refusal(401, "X-Signature does not verify")
    if not _EVENT_ID.fullmatch(event_id) or event_id == _NIL:
        raise Refusal(400, "X-Event-Id must be a UUID, and not the nil one")
    return event_id, given


def check_envelope(body: bytes) -> None:
    """Raise Refusal (422) unless the body is one strict JSON object with a type, a payload, and jids if any."""
    event = _document(body)
    if not isinstance(event, dict):
        raise Refusal(422, "the body must be a JSON object")
    if not _is_type(event.get("type")):
        raise Refusal(422, f"type must be a string of 1 to {MAX_TYPE} characters, none of them a control character")
    if "payload" not in event:
        raise Refusal(422, "payload must be present")
    for name in ("chat_jid", "group_jid", "participant_jid"):
        if not _is_jid(event.get(name)):
            raise Refusal(422, f"{name} must be null or a string of at most {MAX_JID} characters")


def _is_utf8_json(content_type: str) -> bool:
    """Tell whether a Content-Type is JSON's, whatever its parameters, unless they name another charset."""
    kind, *parameters = content_type.lower().split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    charsets = {value.strip(' "') for name, _, value in pairs if name.strip() == "charset"}
    return kind.strip() == "application/json" and charsets <= {"utf-8"}


def _only(headers: MultiMapping[str], name: str) -> str:
    """Return the value of a header that must be there once. Raises Refusal (401)."""
    values = headers.getall(name, [])
    if len(values) != 1:
        raise Refusal(401, f"{name} must be given once")
    return values[0]


def _wire(value: str) -> bytes:
    """Return a header value as the bytes that were sent."""
    return value.encode("utf-8", "surrogateescape")


def _document(body: bytes) -> Any:
    """Parse strict RFC 8259 JSON. Big numbers come back as text, for nothing here reads one."""
    if _too_deep(body):
        raise Refusal(422, f"the body is nested deeper than {MAX_DEPTH}")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return _valid_all_the_same(body)


def _valid_all_the_same(body: bytes) -> Any:
    """Parse what orjson refuses although it is valid: lone surrogate escapes and numbers beyond a double."""
    try:
        return json.loads(body.decode(), parse_constant=_no_constant, parse_int=str, parse_float=str)
    except ValueError as error:
        raise Refusal(422, "the body must be one JSON document in UTF-8") from error


def _no_constant(name: str) -> Never:
    raise ValueError(f"{name} is not JSON")


def _too_deep(body: bytes) -> bool:
    """Tell whether brackets outside of strings nest deeper than MAX_DEPTH, whether or not the body is JSON."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    brackets = _STRING.sub(b"", body).translate(_STEPS, _NOT_BRACKETS)
    return max(accumulate(memoryview(brackets).cast("b")), default=0) > MAX_DEPTH


def _is_type(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= MAX_TYPE and not _CONTROL.search(value)


def _is_jid(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= MAX_JID)
