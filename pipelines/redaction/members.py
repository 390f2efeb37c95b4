"""A JSON text as it is written, and what it says: of an object a key that stands there twice is two members.

Belongs here: taking a text apart. Not: what becomes of a member (walker, facts).
"""

import json
import re
from collections.abc import Iterator

import msgspec
import orjson

from pipelines.parsing.paths import JSON

_objects = msgspec.json.Decoder(dict[str, msgspec.Raw])
_values = json.JSONDecoder(parse_int=float)  # Python refuses integers of some thousand digits
_TO_KEY, _TO_VALUE = re.compile(r"[\s,{]*"), re.compile(r"\s*:\s*")
_MARKS = 4  # bytes beside a key and its value: two quotation marks, a colon, a comma or brace


def parsed(text: bytes) -> JSON:
    """Return what a JSON text says. Raises ValueError, RecursionError."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text, parse_int=float)  # numbers past a double, which no rule asks for


def members(text: bytes) -> list[tuple[str, bytes]]:
    """Return the keys and values of an object, JSON text; a parser that keeps one value of a key may hide others.

    Raises RecursionError.
    """
    found = [(name, bytes(value)) for name, value in _objects.decode(text).items()]
    least = 1 + sum(len(name.encode()) + len(value) + _MARKS for name, value in found)
    if len(text) <= least:
        return found
    return list(_each(text.decode()))  # blanks, escapes in a key, or a key that stands there twice


def _each(text: str) -> Iterator[tuple[str, bytes]]:
    position = _end(_TO_KEY, text, 0)
    while text[position] != "}":
        name, position = _values.raw_decode(text, position)
        begin = _end(_TO_VALUE, text, position)
        _, position = _values.raw_decode(text, begin)
        yield name, text[begin:position].encode()
        position = _end(_TO_KEY, text, position)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position
