"""The fold of what a batch of rows shows of people and groups: one record an address, a pair, a group.

Belongs here: least, greatest and newest over any set of rows, so that neither order nor grouping matters. Not: the same
fold against what the tables know already (sql/load).
"""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from pipelines.lines import Row


class Naming(NamedTuple):
    """A name as observed; the greatest of several is the newest."""

    observed_at: datetime
    event_id: str
    name: str


class Describing(NamedTuple):
    """A full group metadata as observed, and the landed line that holds it; the greatest of several is the newest."""

    observed_at: datetime
    event_id: str
    body_sha256: bytes
    landing_key: str
    landing_line: int


class Seen:
    """When an address was first and last seen, its newest name, and a group's newest metadata."""

    def __init__(self) -> None:
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.naming: Naming | None = None
        self.describing: Describing | None = None

    def at(self, moment: datetime) -> "Seen":
        """Take in that the address was seen at `moment`."""
        self.first = min(self.first or moment, moment)
        self.last = max(self.last or moment, moment)
        return self

    def name(self, row: Row, name: str | None) -> None:
        """Take in a name, if there is one."""
        if name is not None:
            naming = Naming(row.observed_at, row.event_id, name)
            self.naming = max(self.naming or naming, naming)

    def describe(self, row: Row, landing_key: str, landing_line: int) -> None:
        """Take in that this row holds a group's full metadata."""
        describing = Describing(row.observed_at, row.event_id, row.body_sha256, landing_key, landing_line)
        self.describing = max(self.describing or describing, describing)


class Observations:
    """People and groups seen in a batch."""

    def __init__(self) -> None:
        self.people: dict[str, Seen] = {}
        self.groups: dict[str, Seen] = {}
        self.pairs: dict[tuple[str, str], tuple[datetime, str]] = {}

    def add(self, row: Row, landing_key: str, landing_line: int) -> None:
        """Take in one row."""
        shown, observed_at = row.shown, row.observed_at
        if shown.group_jid:
            group = self.groups.setdefault(shown.group_jid, Seen()).at(row.received_at)
            group.name(row, shown.subject)
            if shown.is_full_metadata:
                group.describe(row, landing_key, landing_line)
        for person in (*((shown.author,) if shown.author else ()), *shown.members, *shown.pairs):
            for jid in person.jids:
                self.people.setdefault(jid, Seen()).at(row.received_at)
            if person.lid_jid and person.phone_jid:
                pair, newest = (person.lid_jid, person.phone_jid), (observed_at, row.event_id)
                self.pairs[pair] = max(self.pairs.get(pair, newest), newest)
        for jid in shown.author.jids if shown.author else ():
            self.people[jid].name(row, shown.push_name)

    def jid_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield staged_jids' rows."""
        for jid, seen in self.people.items():
            yield jid, seen.first, seen.last, *_naming(seen)

    def pair_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield staged_pairs' rows."""
        return ((*pair, *newest) for pair, newest in self.pairs.items())

    def group_rows(self) -> Iterator[tuple[object, ...]]:
        """Yield staged_groups' rows."""
        for jid, seen in self.groups.items():
            yield jid, seen.first, seen.last, *_naming(seen), *(seen.describing or (None,) * 5)


def _naming(seen: Seen) -> tuple[object, ...]:
    naming = seen.naming
    return (naming.name, naming.observed_at, naming.event_id) if naming else (None, None, None)
