"""Takes subjects out of a body: what is theirs goes whole, of what is others' only what names them.

Belongs here: how a JSON text is walked and written again. Not: what is a person's own (owners), how a number is found
in a text (subjects). What isn't touched keeps every byte: each value is a part of the text that it came from.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import orjson

from pipelines.landing.format import storable
from pipelines.parsing.extraction import ENVELOPE_CHATS, ERASED, ERASED_OBJECT, Extracted, extract
from pipelines.parsing.jids import group_jid
from pipelines.parsing.paths import JSON
from pipelines.redaction import owners
from pipelines.redaction.content import stripped, without_content
from pipelines.redaction.subjects import Subjects, event_name

GONE = orjson.dumps(ERASED_OBJECT)
GONE_GROUP = f"{ERASED}@g.us"
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}")
# What hides digits from a search of JSON text, or may: escapes, and bytes written as lists of numbers.
_HIDDEN = re.compile(r'\\(?:u[02]0|[tT/])|"Buffer"|"0":')
DEEPEST = 200  # levels; what lies deeper and may hold a subject goes whole
_NESTED = ("{", "[", '"')  # how JSON in a string begins
_BUFFER, _BYTE = "Buffer", range(256)

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_arrays = msgspec.json.Decoder(list[msgspec.Raw])


def may_hold(subjects: Subjects, text: str) -> bool:
    """Tell whether JSON text may hold a subject's number, quickly; False is certain."""
    if next(subjects.found(text), None) or _HIDDEN.search(text):
        return True
    return any(_in_base64(subjects, match[0]) for match in _BASE64.finditer(text))


def redact(subjects: Subjects, event_id: str, body: bytes) -> bytes:
    """Return a body, storable JSON text of an object, without the subjects; the same object where it has none.

    The subject's own goes but for what an event is: its type, group and time.
    """
    event = _parsed(body)
    if not isinstance(event, dict):
        return _walked(subjects, body, event)
    payload, shown = event.get("payload"), extract(event)
    whole = owners.owns_body(subjects, event.get("type"), payload, shown)
    if whole or (shown.group_jid and subjects.is_named(shown.group_jid)):
        return _emptied(subjects, event, shown)
    if subjects.is_named(event_name(event_id)):
        left = without_content(event)
        if left != event:
            body, event = orjson.dumps(left), left
    return _walked(subjects, body, event)


def _emptied(subjects: Subjects, event: dict[str, JSON], shown: Extracted) -> bytes:
    left: dict[str, JSON] = {"type": event.get("type")}
    chat = next((name for name in ENVELOPE_CHATS if name in event), ENVELOPE_CHATS[0])
    group = group_jid(shown.group_jid)
    if group and not subjects.is_named(group):
        left[chat] = subjects.redacted(group)
    if shown.occurred_at:
        left["occurred_at"] = shown.occurred_at.isoformat()
    return orjson.dumps(left)[:-1] + b',"payload":' + GONE + b"}"


def _parsed(text: bytes) -> JSON:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_int=float)  # numbers past a double, which no rule asks for


def _walked(subjects: Subjects, text: bytes, value: JSON, depth: int = 0) -> bytes:
    """Return a JSON text, of which `value` is what it says, without the subjects; the same object if it has none."""
    if isinstance(value, str):
        redacted = _string(subjects, value, depth)
        return text if redacted is value else _dumped(redacted)
    if isinstance(value, dict | list) and depth > DEEPEST:
        return GONE if may_hold(subjects, text.decode()) and value != ERASED_OBJECT else text
    if isinstance(value, dict):
        return _object(subjects, text, value, depth + 1)
    if isinstance(value, list):
        return _array(subjects, text, value, depth + 1)
    if isinstance(value, int) and not isinstance(value, bool) and subjects.is_number(str(value)):
        return b"null"
    return text


def _object(subjects: Subjects, text: bytes, value: dict[str, JSON], depth: int) -> bytes:
    if value == ERASED_OBJECT:
        return text
    if owners.is_named_message(subjects, value) and (left := stripped(value)) != value:
        text, value = orjson.dumps(left), left
    if owners.owns(subjects, value) or _is_buffer_of(subjects, value):
        return GONE
    parts, touched = _objects.decode(text), False
    gone = owners.names_beside(subjects, value)
    if owners.is_quote(subjects, value) and value["quotedMessage"] != ERASED_OBJECT:
        gone.add("quotedMessage")
    written: dict[str, bytes] = {}
    for name, part in parts.items():
        before = bytes(part)
        after = _gone(value[name], before) if name in gone else _walked(subjects, before, value[name], depth)
        key = subjects.redacted(name)
        if key is not name and isinstance(value[name], dict):
            after = GONE  # what stands under a person's address is about that person
        touched = touched or after is not before or key is not name
        written[key] = after
    if not touched:
        return text
    return b"{" + b",".join(_dumped(name) + b":" + part for name, part in written.items()) + b"}"


def _gone(value: JSON, text: bytes) -> bytes:
    if isinstance(value, str):
        return text if value == ERASED else _dumped(ERASED)
    return GONE


def _array(subjects: Subjects, text: bytes, value: list[JSON], depth: int) -> bytes:
    before = [bytes(part) for part in _arrays.decode(text)]
    after = [_walked(subjects, part, each, depth) for part, each in zip(before, value, strict=True)]
    if all(new is old for new, old in zip(after, before, strict=True)):
        return text
    return b"[" + b",".join(after) + b"]"


def _string(subjects: Subjects, text: str, depth: int) -> str:
    """Return a string without the subjects: a text, an address, base64, or JSON of its own, as stubs have it."""
    if group_jid(text) and subjects.is_named(text):
        return GONE_GROUP
    if text.lstrip()[:1] in _NESTED and may_hold(subjects, text):
        try:
            nested = storable(text.encode())
            redacted = _walked(subjects, nested, _parsed(nested), depth + 1)
        except (ValueError, RecursionError):
            return subjects.redacted(text)
        return text if redacted is nested else redacted.decode()
    without = subjects.redacted(text)
    if _BASE64.search(without):
        without = _BASE64.sub(lambda match: ERASED if _in_base64(subjects, match[0]) else match[0], without)
    return text if without == text else without


def _in_base64(subjects: Subjects, text: str) -> bool:
    """Tell whether a text is base64 of something that holds a subject's number as text."""
    padded = text.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        content = base64.b64decode(padded + "=" * (-len(padded) % 4))
    except binascii.Error:
        return False
    return _in_bytes(subjects, content)


def _in_bytes(subjects: Subjects, content: bytes) -> bool:
    return next(subjects.found(content.decode("latin-1")), None) is not None


def _is_buffer_of(subjects: Subjects, value: dict[str, JSON]) -> bool:
    """Tell whether an object is bytes, as JavaScript writes them, that hold a subject's number as text."""
    listed: Any = value.get("data") if value.get("type") == _BUFFER else None
    if listed is None and value and all(key.isdecimal() for key in value):
        listed = list(value.values())
    if not isinstance(listed, list) or not _are_bytes(listed):
        return False
    return _in_bytes(subjects, bytes(listed))


def _are_bytes(listed: Iterable[JSON]) -> bool:
    return all(type(each) is int and each in _BYTE for each in listed)


def _dumped(text: str) -> bytes:
    return orjson.dumps(text)


def numbers_left(subjects: Subjects, body: bytes) -> Iterator[str]:
    """Yield the paths at which a body, JSON text, still holds a subject's number."""
    waiting: list[tuple[str, JSON]] = [("", _parsed(storable(body)))]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            if _is_buffer_of(subjects, value):
                yield path
            for name, each in value.items():
                if subjects.redacted(name) is not name:
                    yield f"{path}.{name}"
                waiting.append((f"{path}.{name}", each))
        elif isinstance(value, list):
            waiting += [(f"{path}.{number}", each) for number, each in enumerate(value)]
        elif isinstance(value, str):
            if _string(subjects, value, 0) is not value:
                yield path
        elif isinstance(value, int) and not isinstance(value, bool) and subjects.is_number(str(value)):
            yield path


def redacted_json(subjects: Subjects, text: str) -> str:
    """Return a text that is kept outside a body, JSON or not, without the subjects; the same object if it has none."""
    return _string(subjects, text, 0)
