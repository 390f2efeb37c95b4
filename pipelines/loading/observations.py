"""The fold of what a batch of rows shows of people and groups: one record per address, pair and group.

Belongs here: least, greatest and newest over any set of rows, so that neither order nor grouping matters. Not: the same
fold against what the tables know already (sql/observations).
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from pipelines.db.binary_copy import NULL, field, jsonb, row, text, timestamptz, uuid
from pipelines.parsing.extraction import EPOCH
from pipelines.parsing.jids import Person
from pipelines.parsing.rows import Row

# The columns of the staging tables, as the rows below have them.
JIDS = (
    "jid", "first_seen_at", "last_seen_at", "push_name", "named_at", "named_by",
    "described_at", "described_by", "described_sha256", "payload",
)  # fmt: skip
PAIRS = ("lid_jid", "phone_jid", "observed_at", "event_id")
GROUPS = (
    "external_jid", "first_seen_at", "last_seen_at", "named_timed", "display_name", "named_at", "named_by",
    "changed_at", "described_at", "described_by", "described_sha256", "payload",
)  # fmt: skip


class Naming(NamedTuple):
    """A name as observed; the greatest of several counts: one with a time of its own before any other, then the newest.

    Only a group's name may have a time of its own.
    """

    timed: bool
    observed_at: datetime
    event_id: str
    name: str


class Describing(NamedTuple):
    """An object that describes a person or a group; the greatest of several counts.

    `changed_at` is the latest change that a group's metadata names, and the same for all that describe a person.
    """

    changed_at: datetime
    observed_at: datetime
    event_id: str
    sha256: bytes
    payload: bytes


class Seen:
    """The first and last sight of an address, and the name and description of it that count."""

    __slots__ = ("describing", "first", "last", "naming")

    def __init__(self, moment: datetime) -> None:
        self.first = self.last = moment
        self.naming: Naming | None = None
        self.describing: Describing | None = None

    def name(self, line: Row, name: str, timed_at: datetime | None = None) -> None:
        """Take in a name, and since when the group has it where the body says so."""
        naming = Naming(timed_at is not None, timed_at or line.observed_at, line.event_id, name)
        self.naming = max(self.naming or naming, naming)

    def describe(self, describing: Describing) -> None:
        """Take in a description."""
        self.describing = max(self.describing or describing, describing)


class Observations:
    """People and groups seen in a batch."""

    def __init__(self) -> None:
        self.people: dict[str, Seen] = {}
        self.groups: dict[str, Seen] = {}
        self.pairs: dict[tuple[str, ...], tuple[datetime, str]] = {}

    def add(self, line: Row) -> None:
        """Take in one line."""
        shown = line.shown
        if shown.group_jid:
            group = _see(self.groups, shown.group_jid, line.received_at)
            if shown.subject is not None:
                group.name(line, shown.subject, shown.subject_at)
            if shown.changed_at is not None:
                received = line.received_at, line.event_id, line.body_sha256
                group.describe(Describing(shown.changed_at, *received, bytes(line.payload)))
        if shown.author:
            self._add_person(line, shown.author, shown.push_name)
        for person in shown.members + shown.pairs:
            self._add_person(line, person)
        for person, shown_object in shown.descriptions:
            digest = hashlib.sha256(shown_object).digest()
            describing = Describing(EPOCH, line.observed_at, line.event_id, digest, shown_object)
            for jid in person.jids:
                self.people[jid].describe(describing)

    def _add_person(self, line: Row, person: Person, name: str | None = None) -> None:
        jids = person.jids
        for jid in jids:
            seen = _see(self.people, jid, line.received_at)
            if name is not None:
                seen.name(line, name)
        if len(jids) > 1:
            newest = (line.observed_at, line.event_id)
            self.pairs[jids] = max(self.pairs.get(jids, newest), newest)

    def jid_rows(self) -> Iterator[bytes]:
        """Yield staged_jids' rows, for a binary COPY."""
        for jid, seen in self.people.items():
            yield row(text(jid), timestamptz(seen.first), timestamptz(seen.last), *_naming(seen), *_describing(seen))

    def pair_rows(self) -> Iterator[bytes]:
        """Yield staged_pairs' rows, for a binary COPY."""
        for (lid_jid, phone_jid), (observed_at, event_id) in self.pairs.items():
            yield row(text(lid_jid), text(phone_jid), timestamptz(observed_at), uuid(event_id))

    def group_rows(self) -> Iterator[bytes]:
        """Yield staged_groups' rows, for a binary COPY."""
        for jid, seen in self.groups.items():
            timed = field(bytes((seen.naming.timed,))) if seen.naming else NULL
            changed_at = timestamptz(seen.describing.changed_at) if seen.describing else NULL
            times = timestamptz(seen.first), timestamptz(seen.last)
            yield row(text(jid), *times, timed, *_naming(seen), changed_at, *_describing(seen))


def _see(known: dict[str, Seen], jid: str, moment: datetime) -> Seen:
    """Take in that an address was seen at a moment, and return what is known of it."""
    seen = known.get(jid)
    if seen is None:
        seen = known[jid] = Seen(moment)
    elif moment > seen.last:
        seen.last = moment
    elif moment < seen.first:
        seen.first = moment
    return seen


def _naming(seen: Seen) -> tuple[bytes, ...]:
    newest = seen.naming
    return (text(newest.name), timestamptz(newest.observed_at), uuid(newest.event_id)) if newest else (NULL,) * 3


def _describing(seen: Seen) -> tuple[bytes, ...]:
    newest = seen.describing
    if newest is None:
        return (NULL,) * 4
    moment, event_id = timestamptz(newest.observed_at), uuid(newest.event_id)
    return moment, event_id, field(newest.sha256), jsonb(newest.payload)
