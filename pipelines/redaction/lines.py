"""Landed lines without those who are to be forgotten, or without content that has expired; all others as they were.

Belongs here: what a line becomes, and a file of lines. Not: what a body becomes (walker, facts), which erasures a line
falls under (covering), putting a file back (privacy).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from pipelines.landing.authenticity import Verifier, erased_line_mac, tombstone_mac
from pipelines.landing.format import (
    LandedEvent,
    LandingLineError,
    Tombstone,
    decode_line,
    decode_tombstone,
    split_lines,
    storable,
)
from pipelines.landing.zone import LandingZone
from pipelines.parsing.rows import NOT_AUTHENTIC
from pipelines.redaction.covering import Covering, Erasures, read_erasures
from pipelines.redaction.erasures import ErasureList
from pipelines.redaction.facts import facts
from pipelines.redaction.search import may_hold
from pipelines.redaction.subjects import Subjects
from pipelines.redaction.walker import holds, redact

BAD_LINE, BAD_JSON = "bad_line", "bad_json"
LONGEST_HEAD = 400  # bytes of a line beside its body


@dataclass(frozen=True)
class Change:
    """A line that becomes another one, and the erasures by which; `event_id` is None for what was no event.

    An expiry of content isn't among them: it covers by date, and needs no record of each line.
    """

    number: int
    event_id: str | None
    before: bytes
    after: bytes
    erasures: frozenset[str]


class Eraser:
    """Writes lines anew without what is to be forgotten by the erasures that they fall under; false without any.

    `known` are events that were received before content expired, by whatever lines else.
    """

    def __init__(self, erasures: Erasures, verifier: Verifier | None, known: frozenset[str] = frozenset()) -> None:
        self.erasures, self._verifier, self._known = erasures, verifier, known

    def __bool__(self) -> bool:
        return bool(self.erasures)

    def knowing(self, known: Iterable[str]) -> "Eraser":
        """Return one that knows these events, in lower case, to be received before content expired."""
        return Eraser(self.erasures, self._verifier, frozenset(known)) if known else self

    def changes(self, content: bytes, hour: datetime) -> Iterator[Change]:
        """Yield the lines of a file of this hour that become others."""
        for number, line in enumerate(split_lines(content), 1):
            if change := self._change(number, line, hour):
                yield change

    def content(self, content: bytes, hour: datetime) -> bytes:
        """Return the bytes of a file of this hour, with its lines written anew; the same object where none changes."""
        return written(content, list(self.changes(content, hour)))

    def line(self, line: bytes, hour: datetime) -> bytes:
        """Return a line of a file of this hour, written anew; the same object where it stays as it is."""
        change = self._change(0, line, hour)
        return change.after if change else line

    def _change(self, number: int, line: bytes, hour: datetime) -> Change | None:
        try:
            event = decode_line(line)
            signed = event.signed
        except LandingLineError:
            covering = None if self._is_tombstone(line) else self.erasures.covering(None, hour)
            return self._no_event(number, line, covering, BAD_LINE) if covering else None
        covering = self._covering(event, signed, hour)
        if covering is None or not (covering.content or _may_hold(covering.subjects, line, event)):
            return None
        if not self._is_signed(event, signed):
            return self._no_event(number, line, covering, NOT_AUTHENTIC)
        body = storable(signed)
        try:
            after = _without(covering, event, line, body)
        except (ValueError, RecursionError):
            return self._no_event(number, line, covering, BAD_JSON)
        stays = _is_bare(line, event) if covering.content else not _stands_beside(covering.subjects, line, event)
        if after is body and stays:
            return None
        return Change(number, event.event_id.lower(), line, self._encoded(event, after, covering), covering.ids)

    def _covering(self, event: LandedEvent, signed: bytes, hour: datetime) -> Covering | None:
        is_known = event.event_id.lower() in self._known
        covering = self.erasures.covering(event.event_id, event.received_at, is_known=is_known)
        before = self.erasures.content_before
        if before is None or hour >= before or (covering and covering.content) or self._is_signed(event, signed):
            return covering
        return self.erasures.covering(event.event_id, hour)  # what it says of its receipt isn't to be believed

    def _is_signed(self, event: LandedEvent, signed: bytes) -> bool:
        return self._verifier is None or self._verifier.is_signed(event, signed)

    def _is_tombstone(self, line: bytes) -> bool:
        """Tell whether a line is what an erasure has left of one, and nothing else."""
        tombstone = decode_tombstone(line)
        if tombstone is None or msgspec.json.encode(tombstone) != line:
            return False
        return self._verifier is None or self._verifier.is_tombstone(tombstone)

    def _no_event(self, number: int, line: bytes, covering: Covering, reason: str) -> Change | None:
        gone = self._tombstone(covering, line, reason)
        return Change(number, None, line, gone, covering.ids) if gone else None

    def _tombstone(self, covering: Covering, line: bytes, reason: str) -> bytes | None:
        """Return what is left of a line that is no event, None where nothing of it is to be forgotten."""
        if not covering.content and not _holds(covering.subjects, line):
            return None
        erasure = covering.mark
        return msgspec.json.encode(Tombstone(erasure, reason, tombstone_mac(self.erasures.key, erasure, reason)))

    def _encoded(self, event: LandedEvent, body: bytes, covering: Covering) -> bytes:
        erasure = covering.mark
        changed = msgspec.structs.replace(event, body=msgspec.Raw(body))
        head = {
            "event_id": event.event_id,
            "received_at": event.received_at,
            "contract": event.contract,
            "erased": erasure,
            "mac": erased_line_mac(self.erasures.key, changed, erasure),
        }
        return msgspec.json.encode(head)[:-1] + b',"body":' + body + b"}"


def _without(covering: Covering, event: LandedEvent, line: bytes, body: bytes) -> bytes:
    """Return a body without what goes of it; the same object where nothing does. Raises ValueError, RecursionError."""
    subjects = covering.subjects
    if not covering.content:
        return redact(subjects, event.event_id, body)
    return facts(redact(subjects, event.event_id, body) if subjects and _may_hold(subjects, line, event) else body)


def _is_bare(line: bytes, event: LandedEvent) -> bool:
    """Tell whether a line has nothing beside its body but what an erasure writes."""
    return event.erased is not None and not event.signature and not _says_more(line, event)


def _holds(subjects: Subjects, line: bytes) -> bool:
    """Tell whether a line that is no event holds something of a subject."""
    return (subjects.by_name or may_hold(subjects, line)) and holds(subjects, line.decode(errors="replace"))


def _may_hold(subjects: Subjects, line: bytes, event: LandedEvent) -> bool:
    """Tell whether a line may hold something of a subject, or be one; False is certain."""
    if subjects.by_name or may_hold(subjects, event.signed):
        return True
    return _says_more(line, event) and may_hold(subjects, line)


def _says_more(line: bytes, event: LandedEvent) -> bool:
    """Tell whether a line has more than what the receiver writes beside the signed bytes."""
    return event.raw is not None or len(line) > len(bytes(event.body)) + LONGEST_HEAD


def _stands_beside(subjects: Subjects, line: bytes, event: LandedEvent) -> bool:
    """Tell whether a line, whose signed bytes hold nobody, has something of a subject beside them."""
    return _says_more(line, event) and holds(subjects, line.decode(errors="replace"))


def written(content: bytes, changes: Sequence[Change]) -> bytes:
    """Return a file's bytes with these lines changed; the same object without any."""
    if not changes:
        return content
    lines = split_lines(content)
    for each in changes:
        lines[each.number - 1] = each.after
    return b"\n".join(lines) + (b"\n" if content.endswith(b"\n") else b"")


def read_eraser(zone: LandingZone, verifier: Verifier | None) -> Eraser:
    """Return what takes out whoever is to be forgotten now. Raises ErasureKeyError."""
    return Eraser(read_erasures(ErasureList(zone)), verifier)
