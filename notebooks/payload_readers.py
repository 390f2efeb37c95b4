"""Who reads which path of a payload: the tables, by the rules of extraction, and the views, by their SQL.

Belongs here: telling it from the text of both, so that nobody keeps a list. Not: how much stands at a path (the
notebook of raw payloads). A path counts as read by whoever names its event's type and every key along it.
"""

import inspect
import re
from functools import cache

from pipelines import notebook
from pipelines.db.queries import query
from pipelines.parsing import rules

TABLES = "tables"
_QUOTED = re.compile(r"""'([^'\n]*)'|"([^"\n]*)\"""")
_MACRO = re.compile(r"^create macro (\w+)", re.MULTILINE)
_TYPE = re.compile(r"[a-z-]+\.[a-z-]+")


def readers(kind: str, path: str) -> list[str]:
    """Return who reads a path of a type's payloads: tables, views; the root of a payload has no reader of its own."""
    keys = _keys(path)
    return [name for name, (types, words) in _vocabulary().items() if keys and kind in types and words.issuperset(keys)]


def unread_from(kind: str, path: str) -> str:
    """Return the shortest part of a path that nobody reads, with all that is in it; an empty text where it is read."""
    steps = re.findall(r"[^.\[]+|\[\*\]", path)  # the first is $
    for number in range(2, len(steps) + 1):
        part = "".join(step if step in {"$", "[*]"} else f".{step}" for step in steps[:number])
        if _keys(part) and not readers(kind, part):
            return part
    return ""


def _keys(path: str) -> list[str]:
    return [key for key in path.replace("[*]", "").split(".") if key != "$"]


@cache
def _vocabulary() -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Return the types and the keys that each reader names."""
    named = {view: _quoted(_text(view)) for view in notebook.VIEWS}
    vocabulary = {view: (frozenset(filter(_TYPE.fullmatch, found)), _words(found)) for view, found in named.items()}
    return {TABLES: (frozenset(rules.RULES), _words(_quoted(inspect.getsource(rules)))), **vocabulary}


def _text(view: str) -> str:
    """Return the SQL of a view, with that of the functions which it calls, and which these call."""
    macros = re.split(r"^(?=create macro )", query("notebook/functions").decode(), flags=re.MULTILINE)
    bodies = {name: text for text in macros for name in _MACRO.findall(text)}
    text, called = query(f"views/{view}").decode() + query("notebook/events_now").decode(), set[str]()
    while wanted := {name for name in bodies if re.search(rf"\b{name}\(", text)} - called:
        called |= wanted
        text += "".join(bodies[name] for name in wanted)
    return text


def _quoted(text: str) -> list[str]:
    return [one or other for one, other in _QUOTED.findall(text)]


def _words(quoted: list[str]) -> frozenset[str]:
    return frozenset(word for each in quoted for word in re.findall(r"\w+", each))
