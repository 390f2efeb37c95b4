"""A batch of landing files, read: lines that can be loaded, lines that can't and why, and what they show.

Belongs here: which files make one, and what is known of it before Postgres has seen it. Not: what a line is (parsing),
changing the tables.
"""

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import msgspec

from pipelines.landing.authenticity import Verifier
from pipelines.landing.zone import FetchedFile, LandingFile, hour_of
from pipelines.loading.observations import Observations
from pipelines.parsing.rows import NOT_AUTHENTIC, Row, UnloadableError, read_file, read_line
from pipelines.redaction.lines import Eraser

WHOLE_FILE = 0  # the line number of a file that was put aside as a whole
HEAD_BYTES = 65_536  # what is kept of such a file: the landing zone has it all
BATCH_BYTES, BATCH_FILES = 32 << 20, 2048
GROWTH = 4  # so that work begins soon the first batch is 2**4 times smaller, and each may be twice the one before


class LandedRow(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One loadable line, where it was landed, and its bytes, should Postgres refuse it."""

    landing_key: str
    line_number: int
    row: Row
    raw: bytes


@dataclass
class Batch:
    """The lines of some landing files, told apart: loadable or not. Line numbers count from 1.

    A line must be one that `verifier` finds signed; None takes each for it. `eraser` takes out of each whoever is to be
    forgotten, before anything else sees it.
    """

    verifier: Verifier | None
    eraser: Eraser | None = None
    files: list[LandingFile] = field(default_factory=list)
    sha256: dict[str, str] = field(default_factory=dict)
    lines: Counter[str] = field(default_factory=Counter)
    loadable: list[LandedRow] = field(default_factory=list)
    unloadable: list[dict[str, Any]] = field(default_factory=list)
    seen: Observations | None = None

    @classmethod
    def read(cls, fetched: Iterable[FetchedFile], verifier: Verifier | None, eraser: Eraser | None = None) -> Self:
        """Read the lines of some files."""
        batch = cls(verifier, eraser)
        for each in fetched:
            batch.add(each)
        batch.observe()
        return batch

    def add(self, fetched: FetchedFile) -> None:
        """Read a file's lines; one that can't be read, or of which nothing is authentic, is put aside whole."""
        key, content = fetched.file.key, fetched.content
        self.files.append(fetched.file)
        if not fetched.fault:
            self.sha256[key] = hashlib.sha256(content).hexdigest()
        bad = len(self.unloadable)
        try:
            self.lines[key] += self._add_lines(fetched)
        except UnloadableError as error:
            del self.unloadable[bad:]
            self.lines[key] += 1
            if self.eraser:
                content = self.eraser.content(content, fetched.file.hour)
            self._put_aside(key, WHOLE_FILE, error.reason, error.detail, content[:HEAD_BYTES])

    def _add_lines(self, fetched: FetchedFile) -> int:
        """Read a file's lines, and return how many there are. Raises UnloadableError for a file to put aside whole."""
        good, bad = len(self.loadable), len(self.unloadable)
        lines = read_file(fetched.content, fetched.fault)
        if self.verifier and (fault := self.verifier.file_fault(fetched.file.key, fetched.content, fetched.metadata)):
            raise UnloadableError(NOT_AUTHENTIC, fault)
        for number, line in enumerate(lines, 1):
            self.add_line(fetched.file.key, number, line)
        if self.verifier and len(self.loadable) == good and _is_forged(self.unloadable[bad:]):
            raise UnloadableError(NOT_AUTHENTIC, self.verifier.explain(fetched.metadata))
        return len(lines)

    def add_line(self, key: str, number: int, line: bytes) -> None:
        """Read one line."""
        if self.eraser and (hour := hour_of(key)):
            line = self.eraser.line(line, hour)
        try:
            self.loadable.append(LandedRow(key, number, read_line(line, self.verifier), line))
        except UnloadableError as error:
            self._put_aside(key, number, error.reason, error.detail, line)
        except Exception as error:  # noqa: BLE001  no line may stop the others, whatever it is that nobody thought of
            self._put_aside(key, number, "unforeseen", type(error).__name__, line)

    def observe(self) -> Observations:
        """Return what the loadable lines show of people and groups."""
        self.seen = Observations()
        for each in self.loadable:
            self.seen.add(each.row)
        return self.seen

    def only(self, keys: Container[str]) -> "Batch":
        """Return what the batch holds of these files."""
        if all(file.key in keys for file in self.files):
            return self
        return Batch(
            self.verifier,
            self.eraser,
            [file for file in self.files if file.key in keys],
            self.sha256,
            self.lines,
            [each for each in self.loadable if each.landing_key in keys],
            [fault for fault in self.unloadable if fault["landing_key"] in keys],
        )

    def withhold(self, discarded: set[tuple[str, int]]) -> None:
        """Leave out what was discarded, lines or whole files: it is in quarantine already, and stays there."""
        if not discarded:
            return

        def stays(key: str, number: int) -> bool:
            return discarded.isdisjoint({(key, number), (key, WHOLE_FILE)})

        self.loadable = [each for each in self.loadable if stays(each.landing_key, each.line_number)]
        self.unloadable = [fault for fault in self.unloadable if stays(fault["landing_key"], fault["line_number"])]
        for key in (key for key, number in discarded if number == WHOLE_FILE):
            self.lines[key] = 1
        self.seen = None

    def refuse(self, refused: dict[LandedRow, str]) -> None:
        """Put aside the lines that Postgres refused."""
        self.loadable = [each for each in self.loadable if each not in refused]
        if refused:
            self.seen = None
        for each, detail in refused.items():
            self._put_aside(each.landing_key, each.line_number, "refused_by_postgres", detail, each.raw)

    def _put_aside(self, key: str, number: int, reason: str, detail: str, raw: bytes) -> None:
        fault = {"landing_key": key, "line_number": number, "reason": reason, "detail": detail, "raw": raw}
        self.unloadable.append(fault)


def _is_forged(faults: Iterable[dict[str, Any]]) -> bool:
    """Tell whether some lines, none of which can be loaded, have signatures, and none that verifies."""
    reasons = {fault["reason"] for fault in faults}
    return NOT_AUTHENTIC in reasons and reasons <= {NOT_AUTHENTIC, "bad_line"}


def in_batches(files: Iterable[LandingFile]) -> Iterator[list[LandingFile]]:
    """Divide files into those of one batch each: the longer, the less often the same people are stored."""
    batch: list[LandingFile] = []
    size, smaller = 0, GROWTH
    for file in files:
        if batch and (size + file.size > BATCH_BYTES >> smaller or len(batch) >= BATCH_FILES >> smaller):
            yield batch
            batch, size, smaller = [], 0, max(0, smaller - 1)
        batch.append(file)
        size += file.size
    if batch:
        yield batch
