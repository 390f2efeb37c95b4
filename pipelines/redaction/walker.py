"""Takes subjects out of a body: what is theirs goes whole, of what is others' only what names them.

Belongs here: how a JSON text is walked and written again. Not: what is a person's own (owners), how a number is found
in a text (subjects, search). What isn't touched keeps every byte: each value is a part of the text that it came from.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import orjson

from pipelines.landing.format import storable
from pipelines.parsing.erased import ERASED, ERASED_OBJECT
from pipelines.parsing.extraction import ENVELOPE_CHATS, Extracted, extract
from pipelines.parsing.jids import group_jid
from pipelines.parsing.paths import JSON
from pipelines.redaction import owners
from pipelines.redaction.content import stripped, without_content
from pipelines.redaction.members import members, parsed
from pipelines.redaction.search import BASE64, decodings, may_hold, unescaped
from pipelines.redaction.subjects import Subjects, event_name, message_name

GONE = orjson.dumps(ERASED_OBJECT)
GONE_GROUP = f"{ERASED}@g.us"
DEEPEST = 200  # levels; what lies deeper and holds a subject goes whole
_NESTED = ("{", "[", '"')  # how JSON in a string begins
_TIME = re.compile(r"(?i)time|creation|date|expir|seconds|ts\Z")  # keys whose ten digits are a time, not a phone
_TEN = re.compile(r"[0-9]{10}")
_WORD = re.compile(r"[\w.@:-]+")  # what an address, or a message's id, is
_BUFFER, _BYTE = "Buffer", range(256)

_arrays = msgspec.json.Decoder(list[msgspec.Raw])


def redact(subjects: Subjects, event_id: str, body: bytes) -> bytes:
    """Return a body, storable JSON text of an object, without the subjects; the same object where it has none.

    The subject's own goes but for what an event is: its type, group and time; so does what is nested too deeply to be
    walked, if it holds a subject. Raises ValueError.
    """
    event = parsed(body)
    if not isinstance(event, dict):
        return _walked(subjects, body, event)
    shown = extract(event if isinstance(event.get("type"), str) else {**event, "type": None})
    if _goes_whole(subjects, event, shown):
        emptied = _emptied(subjects, event, shown)
        return body if event == orjson.loads(emptied) else emptied
    try:
        left = without_content(event) if subjects.is_named(event_name(event_id)) else event
        return _walked(subjects, body if left == event else orjson.dumps(left), left)
    except (RecursionError, orjson.JSONEncodeError):
        return _emptied(subjects, event, shown) if holds(subjects, body.decode()) else body


def _goes_whole(subjects: Subjects, event: dict[str, JSON], shown: Extracted) -> bool:
    payload = event.get("payload")
    if owners.owns_body(subjects, event.get("type"), payload, shown):
        return True
    if shown.group_jid and subjects.is_named(shown.group_jid):
        return True
    return isinstance(payload, dict) and owners.owns(subjects, payload)


def _emptied(subjects: Subjects, event: dict[str, JSON], shown: Extracted) -> bytes:
    kind = event.get("type")
    left: dict[str, JSON] = {"type": subjects.redacted(kind) if isinstance(kind, str) else None}
    chat = next((name for name in ENVELOPE_CHATS if name in event), ENVELOPE_CHATS[0])
    group = group_jid(shown.group_jid)
    if group and not subjects.is_named(group):
        left[chat] = subjects.redacted(group)
    if shown.occurred_at:
        left["occurred_at"] = shown.occurred_at.isoformat()
    return orjson.dumps(left)[:-1] + b',"payload":' + GONE + b"}"


def _walked(subjects: Subjects, text: bytes, value: JSON, depth: int = 0, name: str = "") -> bytes:
    """Return a JSON text, of which `value` is what it says, without the subjects; the same object if it has none.

    `name` is the key under which it stands.
    """
    if isinstance(value, dict | list) and depth > DEEPEST:
        return GONE if value != ERASED_OBJECT and holds(subjects, text.decode()) else text
    if isinstance(value, dict):
        return _object(subjects, text, value, depth + 1, name)
    if isinstance(value, list):
        return _array(subjects, text, value, depth + 1, name)
    if isinstance(value, str):
        redacted = value if _is_time(name, value) else _string(subjects, value, depth)
        return text if redacted is value else _dumped(redacted)
    return b"null" if value is not None and _is_number(subjects, text.decode()) else text


def _is_time(name: str, text: str) -> bool:
    return _TEN.fullmatch(text) is not None and _TIME.search(name) is not None


def _is_number(subjects: Subjects, written: str) -> bool:
    """Tell whether a JSON number is a subject's."""
    if written.isdecimal():
        return subjects.is_whole_number(written)
    return subjects.redacted(written) is not written


def _object(subjects: Subjects, text: bytes, value: dict[str, JSON], depth: int, name: str) -> bytes:
    if value == ERASED_OBJECT:
        return text
    if owners.is_named_message(subjects, value) and (left := stripped(value)) != value:
        text, value = orjson.dumps(left), left
    if owners.owns(subjects, value, name) or _is_buffer_of(subjects, value, depth):
        return GONE
    parts, touched = members(text), False
    gone = owners.names_beside(subjects, value)
    written: dict[tuple[str, bytes], None] = {}
    for key, before in parts:
        shown = value[key] if len(parts) == len(value) else parsed(before)
        renamed = _string(subjects, key, depth)
        if renamed is not key:
            after = GONE  # what stands under a person's address is about that person
        elif key in gone:
            after = _gone(shown, before)
        else:
            after = _walked(subjects, before, shown, depth, key)
        touched = touched or after is not before or renamed is not key
        written[renamed, after] = None
    if not touched:
        return text
    return b"{" + b",".join(_dumped(key) + b":" + part for key, part in written) + b"}"


def _gone(value: JSON, text: bytes) -> bytes:
    if value is None or value in (ERASED, ERASED_OBJECT):
        return text
    return _dumped(ERASED) if isinstance(value, str) else GONE


def _array(subjects: Subjects, text: bytes, value: list[JSON], depth: int, name: str) -> bytes:
    before = [bytes(part) for part in _arrays.decode(text)]
    after = [_walked(subjects, part, each, depth, name) for part, each in zip(before, value, strict=True)]
    if all(new is old for new, old in zip(after, before, strict=True)):
        return text
    return b"[" + b",".join(after) + b"]"


def _string(subjects: Subjects, text: str, depth: int) -> str:
    """Return a string without the subjects: a text, an address, base64, or JSON of its own, as stubs have it."""
    if group_jid(text) and subjects.is_named(text):
        return GONE_GROUP
    if text[:1].isspace() or text[:1] in _NESTED:
        nested = _nested(subjects, text, depth)
        if nested is not None:
            return nested
    return _flat(subjects, text, depth)


def _flat(subjects: Subjects, text: str, depth: int) -> str:
    """Return a text that is no JSON without the subjects."""
    without = subjects.redacted(text)
    if BASE64.search(without):
        without = BASE64.sub(lambda run: ERASED if _in_base64(subjects, run[0], depth) else run[0], without)
    return text if without == text else without


def _nested(subjects: Subjects, text: str, depth: int) -> str | None:
    """Return a text that is JSON without the subjects, None for one that isn't."""
    if text.lstrip()[:1] not in _NESTED or not (subjects.by_name or may_hold(subjects, text)):
        return None
    try:
        nested = storable(text.encode())
        redacted = _walked(subjects, nested, parsed(nested), depth + 1)
    except (ValueError, RecursionError):
        return None
    return text if redacted is nested else redacted.decode()


def _in_base64(subjects: Subjects, run: str, depth: int) -> bool:
    """Tell whether a text is base64 of something that holds a subject's number."""
    return any(_in_bytes(subjects, content, depth) for content in decodings(run))


def _in_bytes(subjects: Subjects, content: bytes, depth: int) -> bool:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return next(subjects.found(content.decode("latin-1")), None) is not None
    return _string(subjects, text, depth + 1) is not text


def _is_buffer_of(subjects: Subjects, value: dict[str, JSON], depth: int) -> bool:
    """Tell whether an object is bytes, as JavaScript writes them, that hold a subject's number as text."""
    listed: Any = value.get("data") if value.get("type") == _BUFFER else None
    if listed is None and value and all(key.isdecimal() for key in value):
        listed = list(value.values())
    if not isinstance(listed, list) or not _are_bytes(listed):
        return False
    return _in_bytes(subjects, bytes(listed), depth)


def _are_bytes(listed: Iterable[JSON]) -> bool:
    return all(type(each) is int and each in _BYTE for each in listed)


def _dumped(text: str) -> bytes:
    return orjson.dumps(text)


def holds(subjects: Subjects, text: str) -> bool:
    """Tell whether any text, JSON or broken JSON, holds something of a subject."""
    if any(_flat(subjects, each, DEEPEST) is not each for each in unescaped(text)):
        return True
    if not subjects.by_name:
        return False
    words = {word[0] for word in _WORD.finditer(text)}
    return any(subjects.is_named(name) for word in words for name in (word, message_name(word), event_name(word)))


def numbers_left(subjects: Subjects, body: bytes) -> Iterator[str]:
    """Yield the paths at which a body, JSON text, still holds a subject's number."""
    waiting: list[tuple[str, str, bytes]] = [("", "", storable(body))]
    while waiting:
        path, name, text = waiting.pop()
        value = parsed(text)
        if isinstance(value, dict):
            if _is_buffer_of(subjects, value, 0):
                yield path
            for key, part in members(text):
                if _string(subjects, key, 0) is not key:
                    yield f"{path}.{key}"
                waiting.append((f"{path}.{key}", key, part))
        elif isinstance(value, list):
            parts = enumerate(_arrays.decode(text))
            waiting += [(f"{path}.{number}", name, bytes(part)) for number, part in parts]
        elif _walked(subjects, text, value, 0, name) is not text:
            yield path


def redacted_json(subjects: Subjects, text: str) -> str:
    """Return a text that is kept outside a body, JSON or not, without the subjects; the same object if it has none."""
    return _string(subjects, text, 0)
