"""Parquet snapshots: the tables' rows, in fixed schemas, put whole."""

import base64
import io
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import RECEIVED, event, group, line, message, participant
from lake import Lake

from devstack.errors import NotReadyError
from devstack.waiting import wait_until
from pipelines.landing.hours import today
from pipelines.snapshots import parquet as parquet_files
from pipelines.snapshots import write as snapshots
from pipelines.snapshots.bucket import snapshot_key
from pipelines.snapshots.files import Snapshot, writing
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.schemas import SCHEMAS
from pipelines.snapshots.stale import forget_missing, stale_dates
from pipelines.snapshots.write import write_snapshots

DAY = RECEIVED.date()


def write(lake: Lake, day: date) -> list[Snapshot]:
    """Write a date's snapshots."""
    return list(write_snapshots(lake.settings, lake.snapshots, day))


def parquet(lake: Lake, table: str, day: date) -> pq.ParquetFile:
    """Open a snapshot as any Parquet reader does."""
    found = lake.client.get_object(Bucket=lake.settings.snapshot_bucket, Key=snapshot_key(table, day))
    return pq.ParquetFile(io.BytesIO(found["Body"].read()))


def read(lake: Lake, table: str, day: date) -> pa.Table:
    """Read a snapshot's rows."""
    return parquet(lake, table, day).read()


def test_a_past_dates_events_are_written_and_its_state_is_not_invented(lake: Lake) -> None:
    lake.land(line(event(message(participant()))))
    lake.load()
    [written] = write(lake, DAY)
    key = "whatsapp_events/date=2026-05-21/whatsapp_events.parquet"
    assert (written.table, written.day, written.key, written.rows) == ("whatsapp_events", DAY, key, 1)


def test_today_has_every_table(lake: Lake) -> None:
    lake.land(line(event(message(participant()))))
    lake.load()
    assert [(each.table, each.rows) for each in write(lake, today())] == [
        ("whatsapp_events", 0),
        ("whatsapp_groups", 1),
        ("whatsapp_participants", 1),
        ("whatsapp_participant_jids", 2),
    ]


def test_a_date_has_the_events_received_on_it(lake: Lake) -> None:
    midnight = datetime(2026, 5, 21, tzinfo=UTC)
    times = [midnight - timedelta(microseconds=1), midnight, midnight + timedelta(days=1, microseconds=-1)]
    lake.land(*(line(event(), time, time) for time in [*times, midnight + timedelta(days=1)]))
    lake.load()
    write(lake, DAY)
    assert read(lake, "whatsapp_events", DAY).column("received_at").to_pylist() == times[1:]


def test_events_have_their_addresses_beside_the_ids(lake: Lake) -> None:
    lake.land(line(event(message(participant()))))
    lake.load()
    write(lake, DAY)
    [row] = read(lake, "whatsapp_events", DAY).to_pylist()
    [(group_id, participant_id)] = lake.rows("select group_id::text, participant_id::text from whatsapp_events")
    assert (row["group_id"], row["group_jid"]) == (group_id, group())
    assert (row["participant_id"], row["participant_jid"]) == (participant_id, participant().phone_jid)


@pytest.mark.parametrize("loaded", [False, True])
def test_the_schema_is_the_same_with_and_without_rows(lake: Lake, loaded: bool) -> None:
    if loaded:
        lake.land(line(event(), 1, datetime.now(UTC)), at=datetime.now(UTC))
        lake.load(datetime.now(UTC))
    write(lake, today())
    assert {table: read(lake, table, today()).schema for table in SCHEMAS} == SCHEMAS


def test_a_file_says_from_which_moment_it_is(lake: Lake) -> None:
    write(lake, DAY)
    metadata = read(lake, "whatsapp_events", DAY).schema.metadata
    assert metadata[b"schema_version"] == b"2"
    assert datetime.fromisoformat(metadata[b"state_at"].decode()).tzinfo == UTC


def test_exactly_the_dates_whose_events_changed_are_stale(lake: Lake) -> None:
    days = [DAY, DAY + timedelta(days=1), today()]

    def land(name: int, at: datetime) -> None:
        lake.land(line(event(), name, at), at=at)
        lake.load(at)

    def write_stale() -> list[date]:
        stale = stale_dates(lake.connection)
        for day in stale:
            list(write_snapshots(lake.settings, lake.snapshots, day, only_stale=True))
            write_catalogue(lake.settings, lake.snapshots, day, only_stale=True)
        return stale

    for name in (0, 1):
        land(name, RECEIVED + timedelta(days=name))
    assert (write_stale(), write_stale()) == (days, [])
    events = {day: etag(lake, "whatsapp_events", day) for day in days}
    people = etag(lake, "whatsapp_participants", today())
    land(2, RECEIVED)
    assert write_stale() == [DAY, today()]
    changed = [day for day in days if etag(lake, "whatsapp_events", day) != events[day]]
    assert (changed, etag(lake, "whatsapp_participants", today()) != people) == ([DAY], True)


def test_a_merge_of_two_people_makes_the_last_seven_days_stale(lake: Lake) -> None:
    now = datetime.now(UTC)
    ages = [0, 1, 6, 7, 8]
    lake.land(line(event(message(participant(lid=False))), "phone", now), at=now)
    for age in ages:
        at = now - timedelta(days=age)
        lake.land(line(event(message(participant(phone=False))), age, at), at=at)
        lake.load(at)
    for day in stale_dates(lake.connection):
        write(lake, day)
        write_catalogue(lake.settings, lake.snapshots, day)
    lake.land(line(event(message(participant())), "pair", now), at=now)
    lake.load(now)
    assert stale_dates(lake.connection) == [today() - timedelta(days=age) for age in (6, 1, 0)]


def test_a_better_body_makes_the_date_of_its_event_stale(lake: Lake) -> None:
    later = RECEIVED + timedelta(days=1)
    lake.land(line(event(message(participant(), messageStubType=2))))
    lake.load()
    for day in stale_dates(lake.connection):
        write(lake, day)
    lake.land(line(event(message(participant())), "event", later), at=later)
    lake.load(later)
    assert stale_dates(lake.connection) == [DAY, today()]
    write(lake, DAY)
    assert read(lake, "whatsapp_events", DAY).column("undecrypted").to_pylist() == [False]


def etag(lake: Lake, table: str, day: date) -> str:
    """Return what changes with every put of a snapshot."""
    head = lake.client.head_object(Bucket=lake.settings.snapshot_bucket, Key=snapshot_key(table, day))
    return head["Metadata"]["created_at"]


def test_a_file_says_what_it_holds(lake: Lake) -> None:
    late = RECEIVED + timedelta(hours=3)
    lake.land(line(event(), 1), line(event(), 2, late))
    lake.load()
    write(lake, DAY)
    found = parquet(lake, "whatsapp_events", DAY).metadata.metadata or {}
    assert {key: found[key.encode()].decode() for key in ("row_count", "received_from", "received_to")} == {
        "row_count": "2",
        "received_from": RECEIVED.isoformat(),
        "received_to": late.isoformat(),
    }
    head = lake.client.head_object(Bucket=lake.settings.snapshot_bucket, Key=snapshot_key("whatsapp_events", DAY))
    assert head["Metadata"] == {key: found[key.encode()].decode() for key in head["Metadata"]}
    assert set(head["Metadata"]) == {
        "schema_version", "state_at", "created_at", "revision", "row_count", "received_from", "received_to",
    }  # fmt: skip


def test_every_value_reads_back_as_postgres_has_it(lake: Lake, sample: list[dict[str, Any]]) -> None:
    """Every column of every table: the sample, and what is hard to carry."""
    hard: list[dict[str, Any]] = [
        {"digits": 12345678901234567890, "negative": -98765432109876543210},
        {"text": "\U0001f469\u200d\U0001f467 \u0645\u0631\u062d\u0628\u0627 \u202eabc"},
        {"text": "nul \x00 and LONE"},
        {"text": "x\U0001f600" * 1_600_000},
    ]
    now = datetime.now(UTC)
    lines = [line(request["body"].encode(), request["headers"]["X-Event-Id"], now) for request in sample]
    bodies = [event(message(participant(), **extra)).replace(b"LONE", b"\\ud800") for extra in hard]
    lines += [line(body, number, now) for number, body in enumerate(bodies)]
    lake.land(*lines, at=now)
    assert lake.load(now).quarantined == 0
    write(lake, today())
    casts = {pa.string(): "::text"}
    for table, schema in SCHEMAS.items():
        names = [f"{table}.{field.name}{casts.get(field.type, '')}" for field in schema if field.name != "group_jid"]
        if table == "whatsapp_events":
            names.insert(4, "whatsapp_groups.external_jid")
        join = "left join whatsapp_groups on group_id = whatsapp_groups.id" if table == "whatsapp_events" else ""
        stored = lake.rows(f"select {', '.join(names)} from {table} {join}")  # noqa: S608  names of the schema
        found = [tuple(row.values()) for row in read(lake, table, today()).to_pylist()]
        assert sorted(found) == sorted(stored)
    events = read(lake, "whatsapp_events", today())
    assert (len(events), max(len(str(text)) for text in events.column("payload").to_pylist()) > 3_200_000) == (
        298,
        True,
    )
    assert events.column("payload_sanitized").to_pylist().count(True) >= 1


def test_all_tables_of_a_run_are_from_one_moment(lake: Lake) -> None:
    now = datetime.now(UTC)
    lake.land(line(event(message(participant(1))), 1, now), at=now)
    lake.load(now)
    writing = write_snapshots(lake.settings, lake.snapshots, today())
    first = next(writing)
    lake.land(line(event(message(participant(2), chat=group(2)), chat=group(2)), 2, now), at=now)
    lake.load(now)
    assert [first.rows, *(each.rows for each in writing)] == [1, 1, 1, 2]
    assert len({read(lake, table, today()).schema.metadata[b"state_at"] for table in SCHEMAS}) == 1


def test_filters_on_time_and_on_group_skip_row_groups(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "ROW_GROUP_ROWS", 64)
    monkeypatch.setattr(snapshots, "BATCH_BYTES", 1 << 13)
    midnight = datetime(2026, 5, 21, tzinfo=UTC)
    chats = [group(number % 16) for number in range(1024)]
    lake.land(*(
        line(event(message(chat=chat), chat=chat), number, midnight + timedelta(minutes=number * 1.4))
        for number, chat in enumerate(chats)
    ))  # fmt: skip
    lake.load()
    write(lake, DAY)
    file = parquet(lake, "whatsapp_events", DAY)
    assert sum(file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)) == 1024

    assert file.num_row_groups >= 12
    assert holding(file, "received_at", midnight + timedelta(hours=12, minutes=30)) <= 2


def holding(file: pq.ParquetFile, column: str, value: Any) -> int:
    """Return how many row groups may hold a value, by their statistics."""
    position = file.schema_arrow.names.index(column)
    groups = [file.metadata.row_group(number).column(position) for number in range(file.num_row_groups)]
    ranges: list[Any] = [group.statistics for group in groups]
    return sum(each.min <= value <= each.max for each in ranges)


def test_a_group_has_few_of_a_busy_hours_row_groups(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_files, "ROW_GROUP_ROWS", 64)
    monkeypatch.setattr(snapshots, "BATCH_BYTES", 1 << 13)
    chats = [group(number % 16) for number in range(1024)]
    lake.land(*(line(event(message(chat=chat), chat=chat), number) for number, chat in enumerate(chats)))
    lake.load()
    write(lake, DAY)
    file = parquet(lake, "whatsapp_events", DAY)
    assert file.num_row_groups >= 12
    assert holding(file, "group_jid", group(7)) <= 3


def test_a_reader_sees_whole_files_of_one_state_while_they_are_replaced(lake: Lake) -> None:
    lake.land(*(line(event(), number) for number in range(20)))
    lake.load()
    write(lake, DAY)
    seen: list[set[Any]] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            seen.append(set(read(lake, "whatsapp_events", DAY).column("deliveries").to_pylist()))

    with ThreadPoolExecutor(1) as reader:
        looking = reader.submit(look)
        for deliveries in count(2):
            lake.connection.execute("update whatsapp_events set deliveries = %s", [deliveries])
            write(lake, DAY)
            if looking.done() or len(set(map(frozenset, seen))) > 10:
                break
        done.set()
        looking.result()
    assert {len(found) for found in seen} == {1}
    states = [state for found in seen for state in found]
    assert states == sorted(states)


# Writes one date's snapshots of events in three row groups, and says each step before it does it.
WRITER = """
import sys
from datetime import date
from pipelines.snapshots import parquet
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.write import write_snapshots
from pipelines.settings import LakeSettings

def step(name):
    print(name, flush=True)
    sys.stdin.readline()

class Told:
    def __init__(self, file): self.file = file
    def __getattr__(self, name): return getattr(self.file, name)
    def read(self, size=-1):
        step("read")
        return self.file.read(size)

put, row_groups = SnapshotStore.put, parquet._row_groups
def told_row_groups(batches):
    for group in row_groups(batches):
        step("row group")
        yield group
def told_put(store, key, file, metadata):
    step("put")
    put(store, key, Told(file), metadata)
    step("there")
parquet._row_groups, SnapshotStore.put = told_row_groups, told_put
parquet.ROW_GROUP_BYTES = 1
settings = LakeSettings.from_environment()
list(write_snapshots(settings, SnapshotStore(settings), date.fromisoformat(sys.argv[1])))
"""


# Writes a date's snapshots and prints the most memory that it had at once, in KiB. What the system tells of an ended
# child would be no less than the memory of the process that it was forked from.
MEASURED = """
import sys
from datetime import date
from pathlib import Path
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.write import write_snapshots

settings = LakeSettings.from_environment()
list(write_snapshots(settings, SnapshotStore(settings), date.fromisoformat(sys.argv[1])))
[peak] = [line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(peak)
"""


def writer_until(step: int) -> list[str]:
    """Run a writer, killed at this step unless that is 0; return the steps that it said."""
    command = [sys.executable, "-c", WRITER, DAY.isoformat()]
    said: list[str] = []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        for name in process.stdout:
            said.append(name.strip())
            if len(said) == step:
                process.kill()
                break
            process.stdin.write("\n")
            process.stdin.flush()
    return said


def test_a_killed_writer_leaves_the_old_file_and_nothing_else(lake: Lake) -> None:
    lake.land(line(event(), 0))
    lake.load()
    write(lake, DAY)
    before = read(lake, "whatsapp_events", DAY)
    noise = [base64.b64encode(os.urandom(7 << 19)).decode() for _ in range(3)]
    lake.land(*(line(event(message(text=text)), text[:9]) for text in noise))
    lake.load()
    steps = set[str]()
    for step in (1, 3, 5, 6, 7, 9, 20):
        steps.add(writer_until(step)[-1])
        assert read(lake, "whatsapp_events", DAY) == before
        bucket = lake.settings.snapshot_bucket
        listed = lake.client.list_objects_v2(Bucket=bucket)["Contents"]
        assert [each["Key"] for each in listed if each["Key"] != ".probe"] == [snapshot_key("whatsapp_events", DAY)]
        assert lake.client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert writer_until(0)[-1] == "there"
    assert steps == {"row group", "put", "read"}
    assert read(lake, "whatsapp_events", DAY).num_rows == 4


def test_large_payloads_take_bounded_memory(lake: Lake) -> None:
    """640 MB of payloads are written within 600 MB."""
    lake.land(line(event(), 0))
    lake.load()
    lake.connection.execute(
        "insert into whatsapp_events (event_id, type, received_at, last_received_at, deliveries, payload,"
        " payload_sanitized, body_sha256, body_received_at, undecrypted, landing_key, landing_line)"
        " select gen_random_uuid(), type, received_at, received_at, 1, to_jsonb(repeat(md5(n::text), 1 << 18)),"
        " false, body_sha256, received_at, false, landing_key, n from whatsapp_events, generate_series(1, 80) as n"
    )
    with subprocess.Popen([sys.executable, "-c", MEASURED, DAY.isoformat()], stdout=subprocess.PIPE) as process:
        assert process.stdout
        peak = int(process.stdout.read())
    assert read(lake, "whatsapp_events", DAY).num_rows == 81
    assert peak < 600_000


def test_a_failed_write_leaves_the_old_file(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.load()
    write(lake, DAY)
    lake.connection.execute("alter table whatsapp_events rename column type to kind")
    with pytest.raises(Exception, match="type"):
        write(lake, DAY)
    assert read(lake, "whatsapp_events", DAY).num_rows == 1


def test_what_is_no_snapshot_in_the_folder_of_a_date_is_no_date(lake: Lake) -> None:
    list(write_snapshots(lake.settings, lake.snapshots, DAY))
    key = snapshot_key("whatsapp_events", DAY)
    folder, _, name = key.rpartition("/")
    for odd in (
        f"{folder}/{name}.bak", f"{folder}/_SUCCESS", folder.replace("05-21", "05-22") + "/",
        key.replace("2026-05-21", "2026-02-30"), key.replace("2026-05-21", "20260522"),
    ):  # fmt: skip
        lake.client.put_object(Bucket=lake.settings.snapshot_bucket, Key=odd, Body=b"")
    assert lake.snapshots.dates("whatsapp_events") == ["2026-05-21"]


def test_a_file_is_noted_with_what_it_holds(lake: Lake) -> None:
    lake.land(line(event(), 1), line(event(), 2))
    lake.load()
    [written] = write(lake, DAY)
    head = lake.client.head_object(Bucket=lake.settings.snapshot_bucket, Key=written.key)
    assert lake.rows('select "table", date, revision, rows, bytes from snapshot_files') == [
        ("whatsapp_events", DAY, head["Metadata"]["revision"], 2, head["ContentLength"])
    ]


def test_a_current_file_that_was_not_noted_is_not_written_again(lake: Lake) -> None:
    """As after an upgrade, or with an older database beside a newer bucket."""
    lake.land(line(event()))
    lake.load()
    [written] = write(lake, DAY)
    lake.connection.execute("delete from snapshot_files")
    assert DAY in stale_dates(lake.connection)
    assert list(write_snapshots(lake.settings, lake.snapshots, DAY, only_stale=True)) == []
    assert lake.rows("select bytes, rows from snapshot_files") == [(written.bytes, 1)]


def test_a_file_that_the_bucket_lost_is_stale_once_the_bucket_is_listed(lake: Lake) -> None:
    lake.land(line(event()))
    lake.load()
    [written] = write(lake, DAY)
    write_catalogue(lake.settings, lake.snapshots, DAY)
    assert (forget_missing(lake.connection, lake.snapshots), DAY in stale_dates(lake.connection)) == ([], False)
    lake.client.delete_object(Bucket=lake.settings.snapshot_bucket, Key=written.key)
    assert forget_missing(lake.connection, lake.snapshots) == [written.key]
    assert DAY in stale_dates(lake.connection)
    assert [each.key for each in write_snapshots(lake.settings, lake.snapshots, DAY, only_stale=True)] == [written.key]


def test_writers_of_a_date_wait_for_each_other(lake: Lake) -> None:
    """So that the file that is there is always the one that was noted last."""
    lake.land(line(event(), 1))
    lake.load()
    with ThreadPoolExecutor(1) as pool, writing(lake.settings, DAY):
        other = pool.submit(write, lake, DAY)
        wait_until(lambda: check_waiting(lake), "the other writer to wait for the lock")
        lake.land(line(event(), 2))
        lake.load()
        assert lake.rows("select count(*) from snapshot_files") == [(0,)]
    [written] = other.result()
    assert (written.rows, lake.rows("select rows from snapshot_files")) == (2, [(2,)])


def check_waiting(lake: Lake) -> None:
    """Raise unless somebody waits for an advisory lock."""
    if not lake.rows("select from pg_locks where locktype = 'advisory' and not granted"):
        raise NotReadyError("nobody waits")
