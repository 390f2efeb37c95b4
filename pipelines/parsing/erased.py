"""The marks that stand where somebody stood who was erased.

Belongs here: how they look. Not: putting them there (redaction).
"""

from pipelines.parsing.paths import JSON

ERASED = "[erased]"  # in the place of a number of that person
ERASED_OBJECT: JSON = {"erased": True}  # and of an object about that person


def has_erased(metadata: JSON) -> bool:
    """Tell whether a group's metadata has an entry of somebody who was erased: a roster, though nobody may be left."""
    roster = metadata.get("participants")
    return isinstance(roster, list) and any(map(_is_erased, roster))


def _is_erased(entry: JSON) -> bool:
    return entry == ERASED_OBJECT or (isinstance(entry, str) and entry.startswith(ERASED))
