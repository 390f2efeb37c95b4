"""Which erasures a landed line falls under, and whether its content has expired.

Belongs here: that question, answered from the list as it was read. Not: reading objects of the list (erasures), what
becomes of such a line (lines).
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from pipelines.redaction.erasures import (
    Erasure,
    ErasureKeyError,
    ErasureList,
    Listed,
    expiry_of,
    newest_change,
)
from pipelines.redaction.subjects import Subjects
from receiver.landing import key_id


class Covering(NamedTuple):
    """The subjects of the erasures that a line falls under, with the ids of those; the expiry of its content."""

    subjects: Subjects
    ids: frozenset[str]
    content: str | None = None

    @property
    def mark(self) -> str:
        """The erasure that stands in what is left of a line."""
        return max(self.ids | {self.content} if self.content else self.ids)


class Erasures:
    """The erasures that cover lines, as the list was read.

    `listed` is how the whole list was, expiries included; `changed_at`, when the newest change of another kind was;
    `content` is the entry by which content has expired.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what a list says
        self,
        key: bytes,
        entries: Iterable[Erasure],
        by_event: Mapping[str, Iterable[str]],
        listed: Listed = Listed(None, None),  # noqa: B008  it can't be changed
        changed_at: datetime | None = None,
        content: Erasure | None = None,
    ) -> None:
        self.key, self.entries, self.listed, self.changed_at = key, tuple(entries), listed, changed_at
        self.content = content
        self._by_event = {event_id: frozenset(ids) for event_id, ids in by_event.items()}
        self._covering: dict[tuple[frozenset[str], bool], Covering] = {}

    def __bool__(self) -> bool:
        return bool(self.entries or self.content)

    @property
    def revision(self) -> datetime | None:
        """Of when the newest change of the list is."""
        return self.listed.revision

    @property
    def content_before(self) -> datetime | None:
        """Before when content has expired."""
        return self.content.until if self.content else None

    def covering(self, event_id: str | None, received_at: datetime, *, is_known: bool = False) -> Covering | None:
        """Return what a line is looked through for, None where it falls under no erasure and keeps its content.

        `is_known` says that its event was received before content expired.
        """
        touching = self._by_event.get(event_id.lower(), frozenset()) if event_id else frozenset()
        ids = frozenset(
            each.id for each in self.entries if each.until is None or received_at < each.until or each.id in touching
        )
        loses_content = self.content_before is not None and (is_known or received_at < self.content_before)
        if not ids and not loses_content:
            return None
        if (ids, loses_content) not in self._covering:
            covering = [each for each in self.entries if each.id in ids]
            content = self.content.id if self.content and loses_content else None
            self._covering[ids, loses_content] = Covering(subjects_of(self.key, covering), ids, content)
        return self._covering[ids, loses_content]


def subjects_of(key: bytes, erasures: Collection[Erasure]) -> Subjects:
    """Return the subjects of some erasures."""
    digests = [digest for each in erasures for digest in each.subjects]
    return Subjects(key, digests, by_name=any(each.kind != "person" for each in erasures))


def read_erasures(listed: ErasureList) -> Erasures:
    """Return the erasures that cover lines. Raises ErasureKeyError where there are some, and not their key."""
    entries = listed.entries()
    of_subjects = [each for each in entries if each.kind != "before"]
    active, content = [each for each in of_subjects if each.lifted_at is None], expiry_of(entries, "facts")
    ours = [*active, content] if content else active
    key = listed.key() if ours else b""
    if strange := sorted({each.key_id for each in ours} - {key_id(key)}):
        raise ErasureKeyError(f"ERASURE_KEY is another than the list's, which is {', '.join(strange)}")
    by_event: dict[str, list[str]] = defaultdict(list)
    for each in active:
        for event_id in {line.event_id for line in listed.touched(each) if line.event_id}:
            by_event[event_id].append(each.id)
    return Erasures(key, active, by_event, Listed.of(entries), newest_change(of_subjects), content)
