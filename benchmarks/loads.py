"""What is measured of loading, each in a process of its own: `python -m benchmarks.loads WAY WORD...`.

Belongs here: this loader, its stages, and what it is compared with. Not: which is measured when (loader.py). A process
prints a line once everything is imported and connected, works when it reads one, and prints what it did as JSON.
"""

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg

import pipelines.loading
from pipelines.assets import Lake
from pipelines.landing_zone import FetchedFile, LandingFile, LandingZone
from pipelines.lines import Row, read_line
from pipelines.loading import load
from pipelines.queries import query

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
    yield lambda: sum(map(len, zone.fetch(files)))


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
    """Upsert the group, upsert the participant, insert the event: prepared statements, a transaction a file."""
    lake = Lake()
    zone = lake.landing_zone()
    files = _files(zone, hours)

    def work() -> int:
        return sum(_insert_file(conn, fetched) for batch in zone.fetch(files) for fetched in batch)

    with lake.database() as conn:
        yield work


def _insert_file(conn: psycopg.Connection[Any], fetched: FetchedFile) -> int:
    batch = pipelines.loading.Batch()
    batch.add(fetched.file, fetched.content)
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
    cursor.execute(EVENT, (*whose, *seen, row.payload, row.sanitized, key, line))


def _id(cursor: psycopg.Cursor[Any]) -> object:
    return cursor.fetchone()[0]  # type: ignore[index]  # an upsert returns its row


@contextmanager
def dlt(*hours: str) -> Iterator[Work]:
    """Load the same files with dlt: filesystem to postgres, one flat table, merged on the event id.

    As its documentation has it for speed: pages of lines, CSV for COPY, a normaliser a core, `upsert` for the merge,
    and no table a nested value. The files come through obstore, which is quicker than its s3fs.
    """
    import dlt as product  # noqa: PLC0415  (its own process, and an extra)
    from dlt.sources.filesystem import readers  # noqa: PLC0415  (the same)
    from obstore.fsspec import FsspecStore  # noqa: PLC0415  (the same)

    settings = Lake().settings()
    store = FsspecStore(
        "s3",
        config={
            "endpoint": settings.aws_endpoint_url_s3,
            "region": settings.aws_region,
            "access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
            "secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
            "virtual_hosted_style_request": False,
        },
        client_options={"allow_http": True},
    )
    [date] = {f"date={hour:%Y-%m-%d}" for hour in _times(hours)}
    lines = readers(
        bucket_url=f"s3://{settings.landing_bucket}/whatsapp/{date}", credentials=store, file_glob="**/*.jsonl"
    ).read_jsonl(chunksize=5_000)
    lines.apply_hints(
        table_name="events",
        primary_key="event_id",
        write_disposition={"disposition": "merge", "strategy": "upsert"},
        columns={"body": {"data_type": "json"}, "received_at": {"data_type": "timestamp"}},
    )
    lines.max_table_nesting = 0
    pipeline = product.pipeline(
        "events",
        pipelines_dir="dlt",  # below the folder that the process runs in
        destination=product.destinations.postgres(settings.conninfo),
        dataset_name="lake",
    )

    def work() -> int:
        pipeline.run(lines, loader_file_format="csv")
        return int(pipeline.last_trace.last_normalize_info.row_counts["events"])

    yield work


class Clock:
    """Divides the time that passes among named stages; an inner one interrupts the outer."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self._stage, self._since = "python", time.perf_counter()

    def switch(self, stage: str) -> str:
        """Begin a stage; return the one that it interrupts."""
        now = time.perf_counter()
        self.spent[self._stage] += now - self._since  # type: ignore[assignment]  # typeshed: counts are integers
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
    folder = resources.files("sql") / "load"
    names = {query(f"load/{name}"): name for name in (file.name.removesuffix(".sql") for file in folder.iterdir())}

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
        def fetch(self, files: Iterable[LandingFile]) -> Iterator[list[FetchedFile]]:
            batches = super().fetch(files)
            while True:
                with clock.stage("fetch"):
                    batch = next(batches, None)
                if batch is None:
                    return
                yield batch

    return Connection, Zone


@contextmanager
def stages(*hours: str) -> Iterator[Work]:
    """Load with this loader, and print what each stage took, in seconds, as JSON."""
    clock = Clock()

    def timed_read_line(line: bytes) -> Row:
        before = clock.switch("parse_extract")
        try:
            return read_line(line)
        finally:
            clock.switch(before)

    def work() -> int:
        clock.switch("python")
        clock.spent.clear()
        loaded = load(conn, zone, _times(hours), RUN).loaded
        clock.switch("python")
        return loaded

    connection, timed_zone = _timed(clock)
    settings = Lake().settings()
    zone = timed_zone(settings)
    with connection.connect(settings.conninfo, autocommit=True) as conn:
        with patch.object(pipelines.loading, "read_line", timed_read_line):
            yield work
        print(json.dumps(clock.spent))


def _times(hours: Sequence[str]) -> list[datetime]:
    return list(map(datetime.fromisoformat, hours))


def _files(zone: LandingZone, hours: Sequence[str]) -> list[LandingFile]:
    return [file for hour in _times(hours) for page in zone.files(hour) for file in page]


def _cpu_seconds() -> float:
    """Return the CPU time of this process and of those it started and waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _peak_mb() -> float:
    """Return the most memory that this process had at once; getrusage would tell of what it was forked from, too."""
    [kilobytes] = [line.split()[1] for line in Path("/proc/self/status").read_text().split("\n") if "VmHWM" in line]
    return int(kilobytes) / 1000


WAYS = {way.__name__: way for way in (copy, loader, fetch, three_statements, dlt, stages)}


def main() -> None:
    """Prepare, say so, wait, work, and say what it took; times are those of the machine's monotonic clock."""
    with WAYS[sys.argv[1]](*sys.argv[2:]) as work:
        print("ready", flush=True)
        sys.stdin.readline()
        cpu, began = _cpu_seconds(), time.monotonic()
        done = work()
        ended, cpu = time.monotonic(), _cpu_seconds() - cpu
    print(json.dumps({"done": done, "began": began, "ended": ended, "cpu_seconds": cpu, "peak_mb": _peak_mb()}))


if __name__ == "__main__":
    main()
