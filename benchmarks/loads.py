"""Ways of loading, each measured in a process of its own: `python -m benchmarks.loads WAY WORD...`.

Belongs here: this loader, its stages, and what it is compared with. Not: which is measured when (loader.py).
"""

import importlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import psycopg

import pipelines.loading.batches
from benchmarks import rounds
from benchmarks.running import SECRET
from pipelines.db.queries import query
from pipelines.landing.authenticity import Verifier
from pipelines.landing.format import split_lines, storable
from pipelines.landing.zone import FetchedFile, LandingFile, LandingZone
from pipelines.loading.load import load
from pipelines.orchestration.resources import Lake
from pipelines.parsing.rows import Row, read_line

RUN = "benchmark"
TABLES = {
    "whatsapp_groups": (
        "id, external_jid, tenant_id, display_name, internal_name, payload, first_seen_at, last_seen_at"
    ),
    "whatsapp_participants": "id, external_jid, push_name, identity_id, payload, first_seen_at, last_seen_at",
    "whatsapp_participant_jids": "jid, participant_id, push_name, first_seen_at, last_seen_at",
    # Without the id: a load leaves it to the server too.
    "whatsapp_events": (
        "event_id, type, group_id, participant_id, participant_jid, tenant_id, occurred_at, received_at,"
        " last_received_at, deliveries, payload, payload_sanitized, landing_key, landing_line"
    ),
}
_COPY_BYTES = 1 << 20

Work = Callable[[], int]  # returns how many events, or with `fetch` files, it dealt with


@contextmanager
def copy(folder: str) -> Iterator[Work]:
    """Replay each table's binary COPY into an empty table, in one transaction: the ceiling."""
    dumps = {table: memoryview((Path(folder) / table).read_bytes()) for table in TABLES}

    def work() -> int:
        with conn.transaction(), conn.cursor() as cursor:
            for table, dump in dumps.items():
                with cursor.copy(f"copy {table} ({TABLES[table]}) from stdin (format binary)".encode()) as rows:
                    for start in range(0, len(dump), _COPY_BYTES):
                        rows.write(dump[start : start + _COPY_BYTES])
            return cursor.rowcount

    with Lake().database() as conn:
        yield work


def dump(conn: psycopg.Connection[Any], folder: Path) -> None:
    """Write each table's binary COPY to a file of its name, events in the order in which they were landed."""
    for table, columns in TABLES.items():
        order = " order by landing_key, landing_line" if table == "whatsapp_events" else ""
        statement = f"copy (select {columns} from {table}{order}) to stdout (format binary)"  # noqa: S608  (our names)
        with conn.cursor().copy(statement.encode()) as rows, (folder / table).open("wb") as file:
            file.writelines(rows)


@contextmanager
def loader(*hours: str) -> Iterator[Work]:
    """Load with this loader, as `wpp-lake load` does."""
    lake = Lake()
    with lake.database() as conn:
        zone = lake.landing_zone()
        yield lambda: load(conn, zone, _times(hours), RUN).loaded


@contextmanager
def fetch(*hours: str) -> Iterator[Work]:
    """Only get the files, with the loader's client and its concurrency, and throw them away."""
    zone = Lake().landing_zone()
    files = _files(zone, hours)
    yield lambda: sum(1 for _ in zone.fetch(files))


GROUP = b"""
    insert into whatsapp_groups as known (external_jid, first_seen_at, last_seen_at) values (%s, %s, %s)
    on conflict (external_jid) do update set last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at)
    returning id"""
PARTICIPANT = b"""
    insert into whatsapp_participants as known (external_jid, push_name, first_seen_at, last_seen_at)
    values (%s, %s, %s, %s)
    on conflict (external_jid) do update set last_seen_at = greatest(known.last_seen_at, excluded.last_seen_at),
        push_name = coalesce(excluded.push_name, known.push_name)
    returning id"""
EVENT = b"""
    insert into whatsapp_events (event_id, type, group_id, participant_id, participant_jid, occurred_at, received_at,
        last_received_at, deliveries, payload, payload_sanitized, landing_key, landing_line)
    values (%s, %s, %s, %s, %s, %s, %s, %s, 1, %s, %s, %s, %s)
    on conflict (event_id) do nothing"""


@contextmanager
def three_statements(*hours: str) -> Iterator[Work]:
    """Upsert the group, upsert the participant, insert the event: prepared statements, a transaction per file."""
    lake = Lake()
    zone = lake.landing_zone()
    files = _files(zone, hours)

    def work() -> int:
        return sum(_insert_file(conn, fetched) for fetched in zone.fetch(files))

    with lake.database() as conn:
        yield work


def _insert_file(conn: psycopg.Connection[Any], fetched: FetchedFile) -> int:
    batch = pipelines.loading.batches.Batch(Verifier([SECRET.encode()]))
    batch.add(fetched)
    with conn.transaction(), conn.cursor() as cursor:
        for staged in batch.loadable:
            _insert_event(cursor, staged.row, staged.landing_key, staged.line_number)
    return len(batch.loadable)


def _insert_event(cursor: psycopg.Cursor[Any], row: Row, key: str, line: int) -> None:
    shown, seen = row.shown, (row.received_at, row.received_at)
    author = shown.author and shown.author.jid
    group_id = _id(cursor.execute(GROUP, (shown.group_jid, *seen))) if shown.group_jid else None
    participant_id = _id(cursor.execute(PARTICIPANT, (author, shown.push_name, *seen))) if author else None
    whose = (row.event_id, row.type, group_id, participant_id, author, shown.occurred_at)
    cursor.execute(EVENT, (*whose, *seen, bytes(row.payload).decode(), row.sanitized, key, line))


def _id(cursor: psycopg.Cursor[Any]) -> object:
    return cursor.fetchone()[0]  # type: ignore[index]  # an upsert returns its row


@contextmanager
def dlt(*hours: str) -> Iterator[Work]:
    """Load the same files with dlt: one flat table in PostgreSQL, merged on the event id.

    Set as dlt's documentation has it for speed: pages of lines, CSV for COPY, `upsert` as the merge, no table a nested
    value; and uncompressed files between its steps. The files come from this loader's client, without the NUL escapes
    that PostgreSQL refuses: dlt's own reading of S3 isn't in its way.
    """
    # By name: dlt is in no extra that the type checker needs.
    product = importlib.import_module("dlt")
    zone = Lake().landing_zone()
    files = _files(zone, hours)

    read = Counter[str]()

    def lines() -> Iterator[list[Any]]:
        for fetched in zone.fetch(files):
            page = [orjson.loads(line) for line in split_lines(storable(fetched.content))]
            read["lines"] += len(page)
            yield page

    resource = product.resource(
        lines,
        name="events",
        primary_key="event_id",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        columns={"body": {"data_type": "json"}, "received_at": {"data_type": "timestamp"}},
        max_table_nesting=0,
    )
    pipeline = product.pipeline(
        "events",
        pipelines_dir="dlt",  # below the folder that the process runs in
        destination=product.destinations.postgres(Lake().settings().conninfo),
        dataset_name="lake",
    )

    def work() -> int:
        pipeline.run(resource, loader_file_format="csv")
        return read["lines"]

    yield work


class Clock(threading.local):
    """Divides each thread's time among named stages; an inner one interrupts the outer. None isn't counted."""

    def __init__(self, spent: Counter[str]) -> None:
        self._spent = spent
        self._stage: str | None = None
        self._since = 0.0

    def switch(self, stage: str | None) -> str | None:
        """Begin a stage; return the one that it interrupts."""
        now = time.perf_counter()
        if self._stage:
            self._spent[self._stage] += now - self._since  # type: ignore[assignment]  # typeshed: counts are integers
        before, self._stage, self._since = self._stage, stage, now
        return before

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the block as a stage."""
        before = self.switch(name)
        try:
            yield
        finally:
            self.switch(before)


def _timed(clock: Clock) -> tuple[type[psycopg.Connection[Any]], type[LandingZone]]:
    """Return a connection that counts each SQL file's time and that of commits, and a zone that counts waiting."""
    names = {
        query(f"{folder}/{file.name.removesuffix('.sql')}"): f"{folder}/{file.name.removesuffix('.sql')}"
        for folder in ("load", "observations", "events")
        for file in (resources.files("sql") / folder).iterdir()
    }

    class Cursor(psycopg.Cursor[Any]):
        def execute(self, query: Any, *args: Any, **kwargs: Any) -> Any:
            with clock.stage(names.get(query, "other_sql")):
                return super().execute(query, *args, **kwargs)

        def executemany(self, query: Any, *args: Any, **kwargs: Any) -> None:
            with clock.stage(names.get(query, "other_sql")):
                super().executemany(query, *args, **kwargs)

        @contextmanager
        def copy(self, statement: Any, *args: Any, **kwargs: Any) -> Iterator[psycopg.Copy]:
            with clock.stage(names.get(statement, "other_sql")), super().copy(statement, *args, **kwargs) as copying:
                yield copying

    class Connection(psycopg.Connection[Any]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.cursor_factory = Cursor

        @contextmanager
        def transaction(self, *args: Any, **kwargs: Any) -> Iterator[psycopg.Transaction]:
            with super().transaction(*args, **kwargs) as transaction:
                yield transaction
                before = clock.switch("commit")
            clock.switch(before)

    class Zone(LandingZone):
        def fetch(self, files: Iterable[LandingFile]) -> Iterator[FetchedFile]:
            fetching = super().fetch(files)
            while True:
                with clock.stage("fetch"):
                    fetched = next(fetching, None)
                if fetched is None:
                    return
                yield fetched

    return Connection, Zone


@contextmanager
def stages(*hours: str) -> Iterator[Work]:
    """Load with this loader, and print what each stage took, in seconds, as JSON."""
    spent: Counter[str] = Counter()
    clock = Clock(spent)

    def timed_read_line(line: bytes) -> Row:
        before = clock.switch("parse_extract")
        try:
            return read_line(line)
        finally:
            clock.switch(before)

    def work() -> int:
        with clock.stage("other"):
            return load(conn, zone, _times(hours), RUN).loaded

    connection, timed_zone = _timed(clock)
    settings = Lake().settings()
    zone = timed_zone(settings)
    with connection.connect(settings.conninfo, autocommit=True) as conn:
        with patch.object(pipelines.loading.batches, "read_line", timed_read_line):
            yield work
        print(json.dumps(spent))


def _times(hours: Sequence[str]) -> list[datetime]:
    return list(map(datetime.fromisoformat, hours))


def _files(zone: LandingZone, hours: Sequence[str]) -> list[LandingFile]:
    return [file for hour in _times(hours) for page in zone.files(hour) for file in page]


WAYS = {way.__name__: way for way in (copy, loader, fetch, three_statements, dlt, stages)}


if __name__ == "__main__":
    rounds.work(WAYS)
