"""Finds landing files that the ledger lacks, and remembers in which hours they are.

Belongs here: listing an hour or the whole landing zone for what is new. Not: what became of the files that were loaded
(alarms), loading what is found (load), nor how the store lists (landing).
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice

from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.zone import LandingFile, LandingZone
from pipelines.loading.alarms import Watch, log_alarms
from pipelines.loading.announced import announce
from pipelines.loading.ledger import unknown
from pipelines.redaction.erasures import ErasureList

TOLD_EVERY = 100  # pages of up to 1,000 files

_log = logging.getLogger(__name__)


def pending(
    conn: Connection, zone: LandingZone, hour: datetime | None = None, watch: Watch | None = None
) -> Iterator[LandingFile]:
    """Yield the landing files that the ledger doesn't know, of one hour or of all; `watch` compares the others.

    Files of hours that have expired are passed over.
    """
    for page in zone.files(hour):
        if watch:
            watch.compare(page)
        new = unknown(conn, page)
        yield from (file for file in page if file.key in new)
    if watch:
        watch.end()


def list_everything(conn: Connection, zone: LandingZone, pages: int | None = None) -> bool:
    """List the whole landing zone, note its pending hours and alarms; return whether it was listed to its end.

    That takes some 50 microseconds per file. It ends early where there are more than so many pages of 1,000 files, with
    what was found noted. `conn` is in autocommit mode.
    """
    files = found = 0
    sizes = Counter[datetime]()
    announce(conn, ErasureList(zone).listed())
    watch, listing = Watch(conn, zone), zone.files()
    for number, page in enumerate(islice(listing, pages), 1):
        watch.compare(page)
        new = unknown(conn, page)
        files, found = files + len(page), found + len(new)
        for file in filter(lambda file: file.key in new, page):
            sizes[file.hour] += file.size
        note_hours(conn, {file.hour: sizes[file.hour] for file in page if file.key in new})
        if number % TOLD_EVERY == 0:
            _log.info("%d landing files listed, %d of them pending", files, found)
    if next(listing, None):
        return False
    watch.end()
    log_alarms(conn)
    conn.execute(query("load/note_listing"), {"files": files, "pending": found})
    return True


def note_hours(conn: Connection, sizes: Mapping[datetime, int | None]) -> None:
    """Note hours that have pending files, with the size of these."""
    if noted := sorted(sizes):  # in one order, for two that meet
        conn.execute(query("load/note_hours"), {"hours": noted, "bytes": [sizes[hour] for hour in noted]})


def noted_hours(conn: Connection) -> dict[datetime, int | None]:
    """Return the hours that a listing has noted, and that no load has taken since; each with the size that waits."""
    return {hour.astimezone(UTC): size for hour, size in conn.execute(query("load/noted_hours"))}


def forget_hours(conn: Connection, hours: Iterable[datetime], began: datetime | None = None) -> None:
    """Forget noted hours, such as a load has loaded that began at this moment of the database's clock."""
    conn.execute(query("load/forget_hours"), {"hours": list(hours), "began": began})


def last_listed(conn: Connection) -> datetime | None:
    """Return when the whole landing zone was listed last, None if it never was."""
    (moment,) = conn.execute(query("load/last_listing")).fetchone() or (None,)
    return moment
