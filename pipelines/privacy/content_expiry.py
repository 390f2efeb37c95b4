"""An expiry of content, from its entry in the list of erasures to the last Parquet file: payloads keep facts alone.

Belongs here: the order of the steps, and how far they have come. Not: the steps (landing, tables, parquet), what is
left of a body (redaction.facts), what goes whole (expiry).
"""

from collections import Counter
from datetime import date, datetime, timedelta
from typing import NamedTuple

from pipelines import object_store
from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.authenticity import Verifier
from pipelines.landing.hours import today
from pipelines.landing.zone import LandingFile, LandingZone, hour_of
from pipelines.loading.announced import announce
from pipelines.privacy import landing, parquet
from pipelines.privacy.content_rows import follow_quarantine, lose_content
from pipelines.privacy.done import Done
from pipelines.privacy.expiry import Order, begin, supersede
from pipelines.privacy.removal import remove_older, remove_older_below
from pipelines.redaction.covering import read_erasures
from pipelines.redaction.erasures import Erasure, ErasureList, expiry_of
from pipelines.redaction.lines import Eraser
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore, snapshot_key
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.schemas import EVENTS, FIELDS
from pipelines.snapshots.write import write_snapshots
from receiver.landing import PREFIX, hour_prefix

TWICE = 2  # deliveries, of which both moments are known
HOUR = timedelta(hours=1)


class _Stretch(NamedTuple):
    """The part that is due: received from `since` to `until`, and files that were put since the last look, at `swept`.

    Without `since` nothing was done before, and everything is looked through.
    """

    since: datetime | None
    until: datetime
    swept: datetime | None


def expire_content(settings: LakeSettings, conn: Connection, before: date, reference: str, by: str) -> Done:
    """Take the content out of what was received before a UTC date, or go on with what was begun.

    `conn` is in autocommit mode; loads go on meanwhile, by the new list. Where an expiry of content in the list
    includes the date, that one is carried out again. Raises ExpiryDateError, NoSecretError, ErasureKeyError,
    ChangedMeanwhileError, SchemaError.
    """
    zone = LandingZone(settings)
    return _carry_out(settings, conn, zone, begin(conn, zone, Order(before, reference, by, "facts")))


def sweep(settings: LakeSettings, conn: Connection, *, full: bool = False) -> Done:
    """Take out content that has expired and is there again: delivered again, restored, left by a kill.

    `full`: all is looked through, whatever the database knows to be done. The session holds the lock of erasures.
    Counts are named `content_...`, and only those of what changed.
    """
    zone = LandingZone(settings)
    erasure = expiry_of(ErasureList(zone).entries(), "facts")
    done = _carry_out(settings, conn, zone, erasure, full=full) if erasure else Done()
    seen = {"files", "lines"}
    done.counts = Counter(
        {f"content_{name}": count for name, count in done.counts.items() if count and name not in seen}
    )
    done.seconds = {f"content: {name}": seconds for name, seconds in done.seconds.items()}
    return done


def _carry_out(
    settings: LakeSettings, conn: Connection, zone: LandingZone, erasure: Erasure, *, full: bool = False
) -> Done:
    """Take content out of landing files, tables and snapshots, in this order, by what isn't done yet.

    How far it has come the database knows. A dump from before shows less, and what it shows is done again.
    """
    done, listed = Done(erasure), ErasureList(zone)
    verifier = Verifier(settings.webhook_secrets, settings.erasure_key_bytes)
    eraser = Eraser(read_erasures(listed), verifier)
    announce(conn, eraser.erasures.listed)
    (began,) = conn.execute(query("load/moment")).fetchone() or (None,)
    since, swept = conn.execute(query("content/state")).fetchone() or (None, None)
    due = _Stretch(None if full else since, erasure.latest(), None if full else swept)
    with done.step("landing zone"):
        done.counts += landing.rewrite(conn, zone, eraser, verifier, _Due(conn, due))
        done.counts["versions"] = _remove_versions(settings, due)
    with done.step("tables"):
        changed = lose_content(conn, zone, eraser, erasure, due.since)
        keys = _in_quarantine(conn, due)
        quarantined = follow_quarantine(conn, zone, eraser, erasure, keys) if keys else 0
        done.counts.update(events=changed.events, groups=changed.groups, quarantined=quarantined)
    with done.step("dates"):
        done.counts["dates"] = _write_dates(settings, conn, due, states=changed.groups > 0)
    conn.execute(query("content/done"), {"before": due.until, "began": began})
    supersede(listed, erasure)
    return done


class _Due:
    """The landing files to look through: of the stretch, put since the last look, or with later deliveries."""

    def __init__(self, conn: Connection, due: _Stretch) -> None:
        self._due = due
        self._is_new = landing.put_since(due.swept) if due.swept else lambda _: False
        found = conn.execute(query("content/straddling"), {"since": due.since, "until": due.until}).fetchall()
        self._hours = {last.replace(minute=0, second=0, microsecond=0) for number, last in found if number == TWICE}
        self._upto = max((last for number, last in found if number > TWICE), default=due.until - HOUR)

    def __call__(self, file: LandingFile) -> bool:
        """Tell whether a file is one of them."""
        if self._due.since is None or self._is_new(file):
            return True
        if file.hour < self._due.until:
            return file.hour >= self._due.since
        return file.hour <= self._upto or file.hour in self._hours


def _remove_versions(settings: LakeSettings, due: _Stretch) -> int:
    """Remove older versions of the landing files that are due, of those that are there no more, too."""

    def is_due(key: str) -> bool:
        hour = hour_of(key)
        return hour is not None and hour < due.until

    client, prefixes = object_store.client(settings), [PREFIX]
    if due.since:
        days = range((due.until - due.since).days)
        prefixes = [hour_prefix(due.since + timedelta(days=day)).rpartition("hour=")[0] for day in days]
    return sum(remove_older_below(client, settings.landing_bucket, prefix, is_due) for prefix in prefixes)


def _in_quarantine(conn: Connection, due: _Stretch) -> list[str]:
    """Return the landing files of which something is in quarantine that may have content which has expired."""
    first = hour_prefix(due.since) if due.since else None
    stretch = {"first": first, "below": hour_prefix(due.until), "swept": due.swept}
    return [key for (key,) in conn.execute(query("content/quarantine"), stretch)]


def _write_dates(settings: LakeSettings, conn: Connection, due: _Stretch, *, states: bool) -> int:
    """Have the Parquet files of the dates that are due, or today's states too, follow; return how many dates."""
    store = SnapshotStore(settings)
    stretch = {"since": due.since.date() if due.since else None, "until": due.until.date()}
    days = [day for (day,) in conn.execute(query("content/days"), stretch)]
    for day in [*days, *[today()] * states]:
        list(write_snapshots(settings, store, day, only_stale=True))
        write_catalogue(settings, store, day, only_stale=True)
    past = [day for day in map(date.fromisoformat, store.dates(parquet.GROUPS)) if day < due.until.date()]
    written = parquet.strip_states(settings, store, [day for day in past if not due.since or day >= due.since.date()])
    if keys := [*written, *(snapshot_key(table, day) for table in (EVENTS, FIELDS) for day in days)]:
        remove_older(object_store.client(settings), settings.snapshot_bucket, keys)
    return len(days)
