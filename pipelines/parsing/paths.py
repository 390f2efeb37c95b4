"""Paths into JSON: `key.participant`, `pollUpdates.0.vote`.

Belongs here: following one. Not: which paths matter (rules).
"""

from functools import cache
from typing import Any

JSON = Any


def at(value: JSON, path: str) -> JSON:
    """Return the value at `path`, a number in which is a list's index; None where there is none."""
    for step in _steps(path):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


@cache
def _steps(path: str) -> list[str]:
    return path.split(".")
