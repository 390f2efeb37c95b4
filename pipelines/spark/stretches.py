"""The landing zone divided into stretches, one for each task, and the lines of one, read as a load reads them.

Belongs here: what a task gets, and what it does before Spark sees anything. Not: what Spark calls (source), which
columns its rows have (shown). Nothing here needs Spark, nor a database: a task has its own environment's settings.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

from pydantic import SecretStr

from pipelines.errors import WppLakeError
from pipelines.landing.zone import LandingFile, LandingZone
from pipelines.loading.batches import Batch
from pipelines.redaction.erasures import ErasureList
from pipelines.redaction.lines import Eraser, read_eraser
from pipelines.settings import LakeSettings
from receiver.landing import hour_prefix

STRETCH_BYTES, STRETCH_FILES = 8 << 20, 1024  # whichever is reached first


class ErasedMeanwhileError(WppLakeError):
    """The list of erasures has changed since the job began: what it has read may show somebody to be forgotten."""


@dataclass(frozen=True)
class Stretch:
    """Landing files, next to each other in the order of their keys: the work of one task."""

    files: tuple[LandingFile, ...]


def settings() -> LakeSettings:
    """Return this process' settings. No database is asked, so none is demanded."""
    return LakeSettings.from_environment(database_url=SecretStr(""))


def stretches(zone: LandingZone, most_bytes: int = STRETCH_BYTES) -> Iterator[Stretch]:
    """Yield all landing files that haven't expired, so many bytes at a time."""
    expired = ErasureList(zone).listed().expired_before
    first = hour_prefix(expired) if expired else ""
    files: list[LandingFile] = []
    size = 0
    for page in zone.files():
        for file in page:
            if file.key < first:
                continue
            if files and (size + file.size > most_bytes or len(files) >= STRETCH_FILES):
                yield Stretch(tuple(files))
                files, size = [], 0
            files.append(replace(file, put_at=None))
            size += file.size
    if files:
        yield Stretch(tuple(files))


def read(stretch: Stretch, erasures: datetime | None) -> Batch:
    """Return a stretch's lines, with the erasures of a list whose newest change is of that moment.

    Raises ErasedMeanwhileError where the list is another one by now.
    """
    zone, eraser = _opened(erasures)
    if eraser.erasures.revision != erasures:
        _opened.cache_clear()
        raise ErasedMeanwhileError("the list of erasures has changed since this job began: start it again")
    return Batch.read(zone.fetch(stretch.files), zone.verifier(), eraser)


def check(erasures: datetime | None) -> None:
    """Raise ErasedMeanwhileError unless the list's newest change is of that moment still."""
    if ErasureList(LandingZone(settings())).listed().revision != erasures:
        raise ErasedMeanwhileError("the list of erasures has changed since this job began: nothing more is written")


@lru_cache(1)
def _opened(_erasures: datetime | None) -> tuple[LandingZone, Eraser]:
    """Open the landing zone and read the list of erasures, once for all stretches that a process reads."""
    zone = LandingZone(settings())
    return zone, read_eraser(zone, zone.verifier())
