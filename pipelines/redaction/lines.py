"""Landed lines without those who are to be forgotten: the same bytes where a line has nobody of them.

Belongs here: what a line becomes, and a file of lines. Not: what a body becomes (walker), which erasures there are
(erasures), putting a file back (privacy).
"""

from collections.abc import Iterator, Sequence
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
from pipelines.redaction.erasures import Covering, ErasureList, Erasures
from pipelines.redaction.search import may_hold
from pipelines.redaction.subjects import Subjects
from pipelines.redaction.walker import holds, redact

BAD_LINE, BAD_JSON = "bad_line", "bad_json"
LONGEST_HEAD = 400  # bytes of a line beside its body


@dataclass(frozen=True)
class Change:
    """A line that becomes another one, and the erasures by which; `event_id` is None for what was no event."""

    number: int
    event_id: str | None
    before: bytes
    after: bytes
    erasures: frozenset[str]


class Eraser:
    """Writes lines anew without the subjects of the erasures that they fall under; false where there are none."""

    def __init__(self, erasures: Erasures, verifier: Verifier | None) -> None:
        self.erasures, self._verifier = erasures, verifier

    def __bool__(self) -> bool:
        return bool(self.erasures.entries)

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
            covering = None if decode_tombstone(line) else self.erasures.covering(None, hour)
            return self._no_event(number, line, covering, BAD_LINE) if covering else None
        covering = self.erasures.covering(event.event_id, event.received_at)
        if covering is None or not _may_hold(covering.subjects, line, event):
            return None
        if self._verifier and not self._verifier.is_signed(event, signed):
            return self._no_event(number, line, covering, NOT_AUTHENTIC)
        body = storable(signed)
        try:
            after = redact(covering.subjects, event.event_id, body)
        except (ValueError, RecursionError):
            return self._no_event(number, line, covering, BAD_JSON)
        if after is body and not _stands_beside(covering.subjects, line, event):
            return None
        return Change(number, event.event_id.lower(), line, self._encoded(event, after, covering), covering.ids)

    def _no_event(self, number: int, line: bytes, covering: Covering, reason: str) -> Change | None:
        gone = self._tombstone(covering, line, reason)
        return Change(number, None, line, gone, covering.ids) if gone else None

    def _tombstone(self, covering: Covering, line: bytes, reason: str) -> bytes | None:
        """Return what is left of a line that is no event, None where it holds nobody who is to be forgotten."""
        subjects = covering.subjects
        if not (subjects.by_name or may_hold(subjects, line)) or not holds(subjects, line.decode(errors="replace")):
            return None
        erasure = max(covering.ids)
        return msgspec.json.encode(Tombstone(erasure, reason, tombstone_mac(self.erasures.key, erasure, reason)))

    def _encoded(self, event: LandedEvent, body: bytes, covering: Covering) -> bytes:
        erasure = max(covering.ids)
        changed = msgspec.structs.replace(event, body=msgspec.Raw(body))
        head = {
            "event_id": event.event_id,
            "received_at": event.received_at,
            "contract": event.contract,
            "erased": erasure,
            "mac": erased_line_mac(self.erasures.key, changed, erasure),
        }
        return msgspec.json.encode(head)[:-1] + b',"body":' + body + b"}"


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
    return Eraser(ErasureList(zone).read(), verifier)
