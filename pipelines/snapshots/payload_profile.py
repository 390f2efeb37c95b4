"""The contents of payloads: for each event type its paths, and what is counted of each, without a value of theirs.

Belongs here: walking payloads, which keys are named and which are masked, what of a value may be shown, the limits.
Not: the files (payload_fields).
"""

import json
import re
from binascii import crc32
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from pipelines.snapshots.hyperloglog import REGISTERS, observe

# Limits, so that neither a hostile payload nor a deep one makes a catalogue long. What is beyond them is counted.
MAX_TYPES = 64  # of a date; any further ones are taken as one, ANY
MAX_PATHS = 1_000  # of a type
MAX_DEPTH = 16  # steps from the root: a message in two wrappers, and what it quotes
MAX_KEYS = 100  # an object with more is a map
MAX_EXAMPLE = 32  # characters
FOLD_BYTES = 1 << 22  # of JSON whose values wait to be folded
MAX_DIGITS = 4300  # Python reads no longer integer

ANY, ITEMS = "*", "[*]"
# A field's name, not an address, an id, a name or a text: lower-case first, ASCII, three digits at most.
_NAME = re.compile(r"(?!(?:.*[0-9]){4})[a-z][A-Za-z0-9_-]{0,63}")
_TYPE = re.compile(r"(?!(?:.*[0-9]){4})[a-z][A-Za-z0-9_.:-]{0,99}")
_SERVERS = frozenset({"s.whatsapp.net", "c.us", "lid", "g.us", "hosted", "hosted.lid", "newsletter", "broadcast"})
_NEVER = 1 << 62  # microseconds; later than any event


class _Shapes(dict[int, str]):
    """The mask of a character: x for a letter, 0 for a digit, ? for what else isn't ASCII; the rest itself."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        if char.isalpha() or char.isdigit():
            return "x" if char.isalpha() else "0"
        return char if char.isascii() and char.isprintable() else "?"


_SHAPES = _Shapes()
_SHAPES.update({code: _SHAPES[code] for code in range(128)})


def shape(text: str) -> str:
    """Return the shape of a text's start; an address keeps its server: 0000000000000@s.whatsapp.net."""
    start = text[:MAX_EXAMPLE]
    name, at, server = start.rpartition("@")
    return name.translate(_SHAPES) + at + server if at and server in _SERVERS else start.translate(_SHAPES)


class Field:
    """One path of one event type, and what is counted of it; times are in microseconds since 1970."""

    __slots__ = (
        "arrays", "booleans", "children", "cut_off", "depth", "event", "events", "example", "first_seen_at", "items",
        "last_seen_at", "nulls", "numbers", "objects", "path", "scalars", "sketch", "strings",
    )  # fmt: skip

    def __init__(self, path: str, depth: int) -> None:
        self.path, self.depth = path, depth
        self.children: dict[str | None, Field] = {}  # by name; None for keys that have none
        self.items: Field | None = None
        self.event = self.events = self.cut_off = 0
        self.objects = self.arrays = self.strings = self.numbers = self.booleans = self.nulls = 0
        self.first_seen_at, self.last_seen_at = _NEVER, -_NEVER
        self.example: str | None = None
        self.sketch = bytearray(REGISTERS)
        self.scalars: list[Any] = []  # seen and not folded yet

    def fold(self) -> None:
        """Count the values that wait, and let go of them."""
        kinds = Counter(map(type, self.scalars))
        self.strings += kinds[str]
        self.numbers += kinds[int] + kinds[float]
        self.booleans += kinds[bool]
        self.nulls += kinds[type(None)]
        texts = {each if each.__class__ is str else _text(each) for each in self.scalars if each is not None}
        observe(self.sketch, texts)
        self.example = example(self.example, *set(map(shape, texts)))
        self.scalars.clear()


def example(*shapes: str | None) -> str | None:
    """Choose one of some shapes, None without any: by a hash, so that none is preferred, and always the same one."""
    return min(
        (each for each in shapes if each is not None), key=lambda each: (crc32(each.encode()), each), default=None
    )


def _text(value: float | bool) -> str:  # noqa: FBT001  any JSON value but a string
    """Return the text of a number or a boolean; 1 and 1.0 are one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


class _EventType:
    """The payloads of one event type."""

    def __init__(self) -> None:
        self.fields = [Field("$", 0)]
        self.event = 0  # number of the one that is looked at

    def add(self, payload: Any, at: int) -> None:
        """Take in the payload of one more event."""
        self.event += 1
        self._see(self.fields[0], payload, at)

    def _see(self, field: Field, value: Any, at: int) -> None:
        """Count one value of a field and, so far as MAX_DEPTH lets it, what is in it."""
        if field.event != self.event:
            field.event = self.event
            field.events += 1
            field.first_seen_at, field.last_seen_at = min(field.first_seen_at, at), max(field.last_seen_at, at)
        if value.__class__ is dict:
            field.objects += 1
            self._see_members(field, value, at)
        elif value.__class__ is list:
            field.arrays += 1
            self._see_items(field, value, at)
        else:
            field.scalars.append(value)

    def _see_members(self, field: Field, members: dict[str, Any], at: int) -> None:
        known = field.children
        if len(members) <= MAX_KEYS and members.keys() <= known.keys():
            for key, value in members.items():
                self._see(known[key], value, at)
            return
        for name, value in zip(_names(members), members.values(), strict=True):
            child = known.get(name) or self._add(field, _step(name))
            if child is None:
                field.cut_off += 1
            else:
                known[name] = child
                self._see(child, value, at)

    def _see_items(self, field: Field, items: list[Any], at: int) -> None:
        if items and field.items is None:
            field.items = self._add(field, ITEMS)
        if field.items is None:
            field.cut_off += len(items)
            return
        for value in items:
            self._see(field.items, value, at)

    def _add(self, field: Field, step: str) -> Field | None:
        """Add a field within another one, unless there are too many or it would be too deep."""
        if len(self.fields) >= MAX_PATHS or field.depth >= MAX_DEPTH:
            return None
        self.fields.append(Field(field.path + step, field.depth + 1))
        return self.fields[-1]


def _names(keys: Collection[str]) -> list[str | None]:
    """Return the name of each key: None for one that may tell of somebody, and for all of a map's.

    A map is an object with keys of which half or more aren't names (addresses, ids, the numbers of spread-out bytes),
    or with too many.
    """
    names = [key if _NAME.fullmatch(key) else None for key in keys]
    return [None] * len(names) if len(names) > MAX_KEYS or 2 * names.count(None) >= len(names) else names


def _step(name: str | None) -> str:
    """Return what a name adds to a path; a hyphen would be a minus there."""
    return f".{ANY}" if name is None else f'."{name}"' if "-" in name else f".{name}"


class Fields:
    """The payloads of many events."""

    def __init__(self) -> None:
        self._types: dict[str, _EventType] = {}
        self._waiting = 0

    def add(self, kind: str, payload: bytes, at: int) -> None:
        """Take in an event: its type, its payload as JSON, and when it was received, in microseconds since 1970."""
        known = self._types.get(kind)
        if known is None:
            kind = kind if _TYPE.fullmatch(kind) and len(self._types) < MAX_TYPES else ANY
            known = self._types.setdefault(kind, _EventType())
        try:
            known.add(_parsed(payload), at)
        except RecursionError:  # nested deeper than a parser goes, though Postgres does
            known.add({} if payload.startswith(b"{") else [], at)
            known.fields[0].cut_off += 1
        self._waiting += len(payload)
        if self._waiting > FOLD_BYTES:
            self._fold()

    def __iter__(self) -> Iterator[tuple[str, Field]]:
        """Yield each type and path, in their order."""
        self._fold()
        for kind in sorted(self._types):
            for field in sorted(self._types[kind].fields, key=lambda field: field.path):
                yield kind, field

    def _fold(self) -> None:
        for kind in self._types.values():
            for field in kind.fields:
                if field.scalars:
                    field.fold()
        self._waiting = 0


def _parsed(payload: bytes) -> Any:
    """Parse JSON; integers are exact up to 4,300 digits, longer ones and too large fractions are infinite."""
    try:
        return msgspec.json.decode(payload)
    except msgspec.ValidationError:  # a number that is too large
        return json.loads(payload, parse_int=lambda digits: int(digits) if len(digits) < MAX_DIGITS else float(digits))
