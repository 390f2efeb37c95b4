"""Takes those who are to be forgotten out of the tables, in place: what is left is what a rebuild would make.

Belongs here: which rows an erasure touches, and in which order they change. Not: which lines it touched (landing, which
comes before), what a row is made of (loading).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import islice
from typing import Any

from pipelines.db.connection import Connection
from pipelines.db.queries import filled, query, run_steps
from pipelines.landing.format import split_lines
from pipelines.landing.hours import hours_between
from pipelines.landing.zone import LandingZone
from pipelines.loading.batches import HEAD_BYTES, WHOLE_FILE, Batch
from pipelines.loading.events import store_events
from pipelines.loading.load import rebuild
from pipelines.loading.store import exclusive_transaction, store_observations
from pipelines.parsing.rows import UnloadableError, read_line
from pipelines.redaction.covering import subjects_of
from pipelines.redaction.erasures import Erasure, Touched
from pipelines.redaction.lines import Eraser
from pipelines.redaction.owners import is_subjects_address

CHUNK = 1_000  # events, or files, at once


@dataclass
class TablesDone:
    """The changes: events stored anew, addresses and groups forgotten, groups renamed, entries of the quarantine."""

    events: int = 0
    addresses: int = 0
    groups: int = 0
    quarantined: int = 0
    dates: set[date] = field(default_factory=set)


def follow(
    conn: Connection, zone: LandingZone, eraser: Eraser, erasure: Erasure, touched: Iterable[Touched]
) -> TablesDone:
    """Have the tables show the landing zone as an erasure left it: the lines that it touched, and whom it forgot.

    In one transaction, beside which no load changes anything. Done twice it changes nothing more. Of a group the tables
    are rebuilt, with new ids: what it showed of people who are known from elsewhere too isn't told apart otherwise.
    Raises LossError where such a rebuild would end with less.
    """
    work = TablesWork(conn, zone, eraser, erasure)
    event_ids, keys = set[str](), set[str]()
    for each in touched:
        keys.add(each.key)
        if each.event_id:
            event_ids.add(each.event_id)
    if erasure.kind == "group":
        rebuild(conn, zone, f"erasure {erasure.id}")
        with exclusive_transaction(conn):
            work.quarantine(sorted(keys))
        work.done.events = len(event_ids)
        work.note_dates(sorted(event_ids))
        return work.done
    with exclusive_transaction(conn):
        conn.execute(query("load/staging_tables"))
        renamed = work.rename_groups()
        work.store_anew([*sorted(event_ids), *work.later_events(renamed, event_ids)])
        work.forget_people()
        work.quarantine(sorted(keys))
        work.end()
    return work.done


def chunks(items: Iterable[str]) -> Iterator[list[str]]:
    """Yield what is worked on at once."""
    left = iter(items)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


class TablesWork:
    """Changes of the tables that follow the landing zone, in the caller's transactions."""

    def __init__(self, conn: Connection, zone: LandingZone, eraser: Eraser, erasure: Erasure) -> None:
        self._conn, self._zone, self._eraser = conn, zone, eraser
        self._until = erasure.until
        self._subjects = subjects_of(eraser.erasures.key, [erasure])
        self._verifier = zone.verifier()
        self.done = TablesDone()

    def rename_groups(self) -> list[Any]:
        """Have groups whose ids hold a subject's number go on under others; return their row's ids."""
        renamed = []
        for group_id, jid, first_seen in self._conn.execute(query("erasure/groups")).fetchall():
            other = self._subjects.redacted(jid)
            if other != jid and self._is_before(first_seen):
                self._conn.execute(query("erasure/rename_group"), {"id": group_id, "renamed": other})
                renamed.append(group_id)
        self.done.groups += len(renamed)
        return renamed

    def later_events(self, groups: Iterable[Any], known: set[str]) -> Iterator[str]:
        """Yield the events of groups that were received since: they are the former group's, whose row is made anew."""
        if self._until is None:
            return
        for group_id in groups:
            found = self._conn.execute(query("erasure/later_events"), {"id": group_id, "until": self._until})
            yield from (event_id for (event_id,) in found.fetchall() if event_id not in known)

    def note_dates(self, event_ids: Iterable[str]) -> None:
        """Note the dates on which events were received: their Parquet files are written anew."""
        for chunk in chunks(event_ids):
            bodies = self._conn.execute(query("erasure/bodies"), {"event_ids": chunk}).fetchall()
            self.done.dates |= {received_on for *_, received_on in bodies if received_on}

    def store_anew(self, event_ids: Iterable[str]) -> None:
        """Store events anew from their bodies, as these are landed now; their ids and deliveries stay."""
        for chunk in chunks(event_ids):
            batch = self.read(chunk)
            self.take_out(chunk)
            self._observe(batch)
            self.store(batch)

    def read(self, event_ids: Sequence[str]) -> Batch:
        """Read every body of these events, and note their dates."""
        bodies = self._conn.execute(query("erasure/bodies"), {"event_ids": event_ids}).fetchall()
        self.done.dates |= {received_on for *_, received_on in bodies if received_on}
        return self._batch([(key, line) for _, key, line, _ in bodies])

    def take_out(self, event_ids: Sequence[str]) -> None:
        """Keep what these events have that their bodies don't say, and take them out."""
        self._conn.execute(query("erasure/kept"))
        self._conn.execute(query("erasure/keep"), {"event_ids": event_ids})
        self._conn.execute(query("erasure/forget_events"), {"event_ids": event_ids})

    def store(self, batch: Batch) -> None:
        """Store events from their bodies, with what was kept."""
        self.done.events += len(store_events(self._conn, batch.loadable))
        self._conn.execute(query("erasure/give_back"))

    def end(self) -> None:
        """Note the dates that have changed, with nothing staged any more."""
        self._conn.execute(query("load/clear_staging"))
        self._conn.execute(query("load/days"), {"dates": sorted(self.done.dates)})
        self._conn.execute(query("load/state"))

    def _observe(self, batch: Batch) -> None:
        store_observations(self._conn, batch)
        self._conn.execute(query("erasure/reworded"))
        self._conn.execute(filled("observations/09_people_fold"))

    def _batch(self, places: Sequence[tuple[str, int]]) -> Batch:
        """Read these lines of landing files."""
        wanted: dict[str, list[int]] = {}
        for key, line in places:
            wanted.setdefault(key, []).append(line)
        batch = Batch(self._verifier, self._eraser)
        for fetched in self._zone.fetch(self._zone.find(wanted)):
            lines = split_lines(fetched.content)
            for number in wanted[fetched.file.key]:
                batch.add_line(fetched.file.key, number, lines[number - 1])
        return batch

    def forget_people(self) -> None:
        """Forget the subjects' addresses and pairs, and people without others; what was received since counts anew."""
        people = self._conn.execute(query("erasure/people")).fetchall()
        gone = [each for each in people if self._is_subject(each[0]) and self._is_before(each[2])]
        pairs = self._conn.execute(query("erasure/every_pair"), {"until": self._until}).fetchall()
        lost = [pair for pair in pairs if any(map(self._is_subject, pair))]
        participants = {"participants": list({participant for _, participant, *_ in gone})}
        self._conn.execute(query("load/clear_staging"))
        lids, phones = ([pair[side] for pair in lost] for side in (0, 1))
        self._conn.execute(query("erasure/forget_pairs"), {"lids": lids, "phones": phones})
        self._conn.execute(query("erasure/forget_jids"), {"jids": [jid for jid, *_ in gone]})
        self._conn.execute(query("erasure/stage_others"), participants)
        run_steps(self._conn, "observations")
        self._conn.execute(query("erasure/unlink"), participants)
        self._conn.execute(query("erasure/forget_people"), participants)
        self.done.addresses += len(gone)
        if self._until and any(last >= self._until for *_, last in gone):
            self._observe_since(self._until)

    def _observe_since(self, moment: datetime) -> None:
        """Observe again what was landed since: an address that was forgotten may have been seen then, too."""
        for hour in hours_between(moment.replace(minute=0, second=0, microsecond=0), datetime.now(UTC)):
            for page in self._zone.files(hour):
                batch = Batch.read(self._zone.fetch(page), self._verifier, self._eraser)
                batch.loadable = [each for each in batch.loadable if each.row.received_at >= moment]
                batch.observe()
                store_observations(self._conn, batch)
        self._conn.execute(query("erasure/relink"))

    def quarantine(self, keys: Sequence[str]) -> None:
        """Have the quarantine hold what the lines and files hold now."""
        for chunk in chunks(keys):
            places: dict[str, list[int]] = {}
            for key, line in self._conn.execute(query("erasure/quarantine"), {"keys": chunk}).fetchall():
                places.setdefault(key, []).append(line)
            for fetched in self._zone.fetch(self._zone.find(places)):
                lines = split_lines(fetched.content)
                for line in places[fetched.file.key]:
                    raw = fetched.content[:HEAD_BYTES] if line == WHOLE_FILE else lines[line - 1]
                    entry = {"key": fetched.file.key, "line": line, "raw": raw, "detail": self._detail(line, raw)}
                    self.done.quarantined += self._conn.execute(query("erasure/quarantined"), entry).rowcount

    def _detail(self, line: int, raw: bytes) -> str | None:
        """Return what is wrong with a line now, None where that is as it was."""
        if line == WHOLE_FILE:
            return None
        try:
            read_line(raw, self._verifier)
        except UnloadableError as error:
            return error.detail
        return None

    def _is_subject(self, jid: str) -> bool:
        return is_subjects_address(self._subjects, jid)

    def _is_before(self, moment: datetime) -> bool:
        return self._until is None or moment < self._until
