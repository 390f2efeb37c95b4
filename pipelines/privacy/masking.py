"""Masks what is somebody else's in a payload that a person may see: names, numbers and texts.

Belongs here: what is masked. Not: which payloads are shown (export).
"""

import re

from pipelines.parsing.jids import person
from pipelines.parsing.paths import JSON
from pipelines.redaction import owners
from pipelines.redaction.subjects import Subjects

SOMEBODY, THEIRS = "[somebody else]", "[somebody else's]"
_ADDRESS = re.compile(r"[0-9]{5,20}(?:[._][0-9]+)?(?::[0-9]+)?@(?:s\.whatsapp\.net|c\.us|hosted\.lid|hosted|lid)")
_NUMBER = re.compile(r"\+?[0-9](?:[ ().-]{0,2}[0-9]){9,14}")
# What is a text that people wrote, in which a number may be a phone; elsewhere a number is a size or a time.
TEXTS = frozenset({"conversation", "text", "caption", "title", "description", "vcard", "name", "label", "desc"})
NAMES = frozenset({"pushName", "notify", "verifiedName", "verifiedBizName", "username", "displayName", "vcard"})


def masked(subjects: Subjects, value: JSON, name: str = "") -> JSON:
    """Return a part of a payload with what is somebody else's masked; `name` is the key that it stands under."""
    if isinstance(value, list):
        return [masked(subjects, each, name) for each in value]
    if isinstance(value, dict):
        return _object(subjects, value)
    if not isinstance(value, str):
        return value
    text = _ADDRESS.sub(lambda match: match[0] if owners.is_subjects_address(subjects, match[0]) else SOMEBODY, value)
    if name in TEXTS:
        text = _NUMBER.sub(lambda match: match[0] if subjects.redacted(match[0]) != match[0] else SOMEBODY, text)
    return text


def _object(subjects: Subjects, shown: dict[str, JSON]) -> JSON:
    if owners.is_somebody_elses(subjects, shown):
        return THEIRS
    others = any(
        isinstance(value, str) and person(value) and not owners.is_subjects_address(subjects, value)
        for value in shown.values()
    )
    result: dict[str, JSON] = {}
    for name, value in shown.items():
        if name == "quotedMessage" and not owners.is_quote(subjects, shown):
            result[name] = THEIRS
        elif others and name in NAMES:
            result[name] = SOMEBODY
        else:
            result[str(masked(subjects, name))] = masked(subjects, value, name)
    return result
