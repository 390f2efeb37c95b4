"""The alarms: loaded landing files that the landing zone lacks now, or has with other bytes.

Belongs here: comparing a listing with the ledger, stretch by stretch, and noting what differs. Not: which files are to
be loaded (pending), what follows from an alarm (rebuild, status).
"""

import hashlib
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.authenticity import written_by_erasure
from pipelines.landing.zone import LandingFile, LandingZone
from receiver.landing import PREFIX, hour_prefix

AFTER_SLASH = "0"  # the character that follows "/": a prefix with it at its end comes after every key of the prefix

_log = logging.getLogger(__name__)


class Alarm(NamedTuple):
    """One landing file that isn't what was loaded: `kind` is "missing" or "changed"."""

    key: str
    kind: str
    noted_at: datetime


class AlarmCounts(NamedTuple):
    """How many landing files are missing or changed."""

    missing: int
    changed: int

    def __str__(self) -> str:
        return f"landing files that were loaded: {self.missing} are missing, {self.changed} were changed"


class Watch:
    """Compares a listing of one UTC hour, or of everything, with the ledger, page by page. It begins before that.

    What is missing is told by the order of keys, in which S3 lists; from a store that lists otherwise, nothing is.
    """

    def __init__(self, conn: Connection, zone: LandingZone, hour: datetime | None = None) -> None:
        self._conn, self._zone = conn, zone
        self._after = hour_prefix(hour) if hour else PREFIX
        self._end = self._after[:-1] + AFTER_SLASH
        self._began: datetime | None
        (self._began,) = conn.execute(query("load/moment")).fetchone() or (None,)
        self._in_order = True

    def compare(self, page: Sequence[LandingFile]) -> None:
        """Compare the next page, and all that the ledger has between it and the one before."""
        keys = [file.key for file in page]
        if [self._after, *keys] != sorted([self._after, *keys]):
            self._in_order = False
        if keys:
            self._compare(page, keys[-1])

    def end(self) -> None:
        """Compare what the ledger has after the last page."""
        self._compare((), self._end)

    def _compare(self, page: Sequence[LandingFile], upto: str) -> None:
        listed = {
            "keys": [file.key for file in page],
            "sizes": [file.size for file in page],
            "etags": [file.etag for file in page],
        }
        loaded = dict(self._conn.execute(query("alarms/differing"), listed).fetchall())
        moved, changed = self._divided([file for file in page if file.key in loaded], loaded)
        stretch = {"after": self._after, "upto": upto, "began": self._began}
        with self._conn.transaction(), self._conn.cursor() as cursor:
            cursor.execute(query("alarms/lock"))
            cursor.executemany(query("alarms/moved"), moved)
            cursor.executemany(query("alarms/changed"), [{"key": file.key, "etag": file.etag} for file in changed])
            if self._in_order:
                cursor.execute(query("alarms/missing"), listed | stretch)
            cursor.execute(query("alarms/over"), listed | stretch)
        self._after = upto

    def _divided(
        self, files: Sequence[LandingFile], loaded: dict[str, str]
    ) -> tuple[list[dict[str, Any]], list[LandingFile]]:
        """Fetch files; return those with the bytes that were loaded, or that an erasure made of them, and the others.

        Of the former what the ledger has to say of them.
        """
        moved: list[dict[str, Any]] = []
        changed: list[LandingFile] = []
        erasure_key = self._zone.settings.erasure_key_bytes
        for fetched in self._zone.fetch(files):
            file, digest = fetched.file, hashlib.sha256(fetched.content).hexdigest()
            if not fetched.fault and (
                digest == loaded[file.key]
                or written_by_erasure(erasure_key, file.key, fetched.content, fetched.metadata)
            ):
                moved.append({"key": file.key, "etag": file.etag, "size": file.size, "sha256": digest})
            else:
                changed.append(file)
        return moved, changed


def alarms(conn: Connection) -> list[Alarm]:
    """Return every alarm, in the order of the keys."""
    return [Alarm(*found) for found in conn.execute(query("alarms/list"))]


def log_alarms(conn: Connection) -> None:
    """Log in one line how many landing files are missing or changed, if any."""
    if any(counts := count_alarms(conn)):
        _log.error("%s: `wpp-lake status` names them", counts)


def count_alarms(conn: Connection) -> AlarmCounts:
    """Count the alarms by their kind."""
    return AlarmCounts(*(conn.execute(query("alarms/count")).fetchone() or (0, 0)))
