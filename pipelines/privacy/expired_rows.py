"""Takes out of the tables what was received before a moment, in one transaction.

Belongs here: which rows go, which stay, and what becomes of an event that was delivered before and since. Not: files
and snapshots (expiry).
What is left is what a rebuild would make of the files that are left, with its ids, and but for one thing: whoever was
seen since keeps the time of the first sight.
"""

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

from pipelines.db.connection import Connection
from pipelines.db.queries import query, run_steps
from pipelines.landing.format import LandingLineError, decode_line, split_lines
from pipelines.landing.zone import FetchedFile, LandingFile, LandingZone
from pipelines.loading.batches import Batch, LandedRow, in_batches
from pipelines.loading.events import store_events
from pipelines.loading.ledger import entries
from pipelines.loading.store import exclusive_transaction, store_observations
from pipelines.prefetch import prefetch
from pipelines.redaction.lines import Eraser
from receiver.landing import PREFIX, hour_prefix

TWICE = 2  # deliveries, of which both moments are known
SHOWN = ("expiry/names", "expiry/descriptions", "expiry/group_names", "expiry/group_descriptions")

_log = logging.getLogger(__name__)


class Expired(NamedTuple):
    """How many rows went, by kind; the dates that went, and those of events that go on."""

    counts: Counter[str]
    gone: set[date]
    changed: set[date]


def expire_rows(conn: Connection, zone: LandingZone, eraser: Eraser, before: datetime) -> Expired:
    """Delete the rows of what was received before this midnight, and of whom it alone showed.

    Beside it no load changes anything, and those that have read an older list store nothing after it. Done twice it
    changes nothing more. Raises NoSecretError.
    """
    rows = _Rows(conn, zone, eraser, before)
    with exclusive_transaction(conn):
        conn.execute(query("load/staging_tables"))
        conn.execute(query("load/clear_staging"))
        conn.execute(query("expiry/staging"))
        rows.events()
        rows.people()
        rows.rest()
        if rows.done["addresses"] or rows.done["groups"]:
            conn.execute(query("load/state"))
    return Expired(rows.done, rows.gone, rows.changed)


class _Rows:
    def __init__(self, conn: Connection, zone: LandingZone, eraser: Eraser, before: datetime) -> None:
        self._conn, self._zone, self._eraser, self._before = conn, zone, eraser, before
        self._named: dict[str, Any] = {"before": before, "first": PREFIX, "below": hour_prefix(before)}
        self.done: Counter[str] = Counter()
        self.gone, self.changed = set[date](), set[date]()

    def events(self) -> None:
        """Delete events, and entries of the ledger; an event that was delivered since goes on by that."""
        straddling = self._conn.execute(query("expiry/straddling"), self._named).fetchall()
        left = self._delivered_since({event_id: (number, last) for event_id, number, last in straddling})
        ids = {"event_ids": [event_id for event_id, *_ in straddling]}
        self._conn.execute(query("erasure/kept"))
        self._conn.execute(query("erasure/keep"), ids)
        events = self._count("expiry/events")
        files, loaded = self._conn.execute(query("expiry/ledger"), self._named).fetchone() or (0, 0)
        new: Sequence[LandedRow] = ()
        if left.loadable:
            store_observations(self._conn, left)
            new = store_events(self._conn, left.loadable)
            self._conn.execute(query("expiry/give_ids_back"))
            self._conn.execute(query("expiry/gone_on"))
        brought = Counter(each.landing_key for each in new)
        self._correct(brought, loaded - (events - brought.total()))
        self.changed = {each.row.received_at.astimezone(UTC).date() for each in new}
        self.done.update(events=events - brought.total(), entries=files)
        self._note_days(self.changed)

    def _delivered_since(self, straddling: dict[str, tuple[int, datetime]]) -> Batch:
        """Read the loaded lines of these events that are landed in hours which don't expire."""
        batch = Batch(self._zone.verifier(), self._eraser)
        if not straddling:
            return batch
        hours = {_hour(last) for number, last in straddling.values() if number == TWICE}
        until = max((last for number, last in straddling.values() if number > TWICE), default=self._before)
        for page in self._zone.files():
            files = [file for file in page if self._before <= file.hour <= until or file.hour in hours]
            known = entries(self._conn, [file.key for file in files])
            self._read(batch, [file for file in files if file.key in known], straddling.keys())
        self._withhold(batch)
        batch.observe()
        return batch

    def _withhold(self, batch: Batch) -> None:
        """Leave out the lines that are in quarantine."""
        places = self._conn.execute(query("quarantine/of_files"), {"keys": [file.key for file in batch.files]})
        batch.withhold({(key, line) for key, line, state, *_ in places if state != "loaded"})

    def _read(self, batch: Batch, files: Iterable[LandingFile], event_ids: Collection[str]) -> None:
        for fetched in self._zone.fetch(files):
            if fetched.fault:
                _log.warning("%s can't be read: %s", fetched.file.key, fetched.fault)
            batch.files.append(fetched.file)
            for number, line in _lines_of(fetched, event_ids):
                batch.add_line(fetched.file.key, number, line)

    def _correct(self, brought: Counter[str], events: int) -> None:
        """Have the ledger count so many events as brought by these files, that were duplicates until now."""
        for key, lines in sorted(brought.items()):
            if events > 0:
                counted = {"key": key, "lines": min(lines, events)}
                (more,) = self._conn.execute(query("expiry/first_deliveries"), counted).fetchone() or (0,)
                events -= more

    def people(self) -> None:
        """Delete groups and addresses that weren't seen since, what only expired lines showed of others, and pairs."""
        touched = {participant for (participant,) in self._conn.execute(query("expiry/people"), self._named)}
        self.done["addresses"] = self._count("expiry/jids")
        self.done["groups"] = self._count("expiry/groups")
        pairs = self._conn.execute(query("expiry/pairs")).fetchall()
        self.done["pairs"] = len(pairs)
        parted = {participant for _, participant in pairs if participant}
        # What was shown by older events than those that have expired may have been received since.
        if sum(map(self._count, SHOWN)) or parted:
            self._observe_again()
        self._settle([*touched | parted])

    def _settle(self, touched: Sequence[Any]) -> None:
        """Have the addresses of these people be whose they are now, and delete people who have none."""
        if touched:
            people = {"participants": touched}
            self._conn.execute(query("erasure/stage_others"), people)
            run_steps(self._conn, "observations")
            self._conn.execute(query("erasure/unlink"), people)
            self.done["people"] = self._conn.execute(query("erasure/forget_people"), people).rowcount
            self._note_days(())

    def _observe_again(self) -> None:
        """Observe what the loaded lines that are left show of people and groups."""
        verifier = self._zone.verifier()
        for page in self._zone.files():
            files = [file for file in page if file.hour >= self._before]
            known = entries(self._conn, [file.key for file in files])
            for batch in prefetch(
                lambda some: Batch.read(self._zone.fetch(some), verifier, self._eraser),
                in_batches(file for file in files if file.key in known),
            ):
                self._withhold(batch)
                store_observations(self._conn, batch)
        self._conn.execute(query("load/clear_staging"))

    def rest(self) -> None:
        """Delete what waits, alarms or is put aside of files that expire."""
        aside = self._conn.execute(query("expiry/quarantine"), self._named).fetchone() or (0, 0)
        self.done["quarantined"], self.done["open_in_quarantine"] = aside
        self._conn.execute(query("expiry/alarms"), self._named)
        self.gone = {day for (day,) in self._conn.execute(query("expiry/dates"), self._named)}

    def _note_days(self, days: Iterable[date]) -> None:
        """Note these dates as changed, with those that the steps have noted, and have nothing staged any more."""
        self._conn.execute(query("load/days"), {"dates": sorted(days)})
        self._conn.execute(query("load/clear_staging"))

    def _count(self, name: str, **values: Any) -> int:
        return self._conn.execute(query(name), self._named | values).rowcount


def _hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _lines_of(fetched: FetchedFile, event_ids: Collection[str]) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file that hold one of these events, with their numbers."""
    for number, line in enumerate(split_lines(fetched.content), 1):
        try:
            event_id = decode_line(line).event_id.lower()
        except LandingLineError:
            continue
        if event_id in event_ids:
            yield number, line
