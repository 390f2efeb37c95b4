"""Parquet snapshots: the tables' rows, in fixed schemas, put whole."""

import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from factories import RECEIVED, event, group, line, message, participant
from lake import Lake

from pipelines.schemas import SCHEMAS
from pipelines.snapshots import Snapshot, snapshot_key, stale_dates, today, write_snapshots

DAY = RECEIVED.date()


def write(lake: Lake, day: date) -> list[Snapshot]:
    """Write a date's snapshots."""
    return list(write_snapshots(lake.settings, lake.snapshots, day))


def read(lake: Lake, table: str, day: date) -> pa.Table:
    """Read a snapshot as any Parquet reader does."""
    found = lake.client.get_object(Bucket=lake.settings.snapshot_bucket, Key=snapshot_key(table, day))
    return pq.read_table(io.BytesIO(found["Body"].read()))


def test_a_past_dates_events_are_written_and_its_state_is_not_invented(lake: Lake) -> None:
    lake.land(line(event(message(participant()))))
    lake.load()
    assert write(lake, DAY) == [
        Snapshot("whatsapp_events", "whatsapp_events/date=2026-05-21/whatsapp_events.parquet", 1)
    ]


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


def test_the_sample_reads_back_as_postgres_has_it(lake: Lake, sample: list[dict[str, Any]]) -> None:
    lake.land(*(line(request["body"].encode(), request["headers"]["X-Event-Id"]) for request in sample))
    lake.load()
    write(lake, DAY)
    columns = "event_id", "type", "occurred_at", "received_at", "deliveries", "payload", "payload_sanitized"
    found = read(lake, "whatsapp_events", DAY).select(columns).sort_by("event_id").to_pylist()
    stored = lake.rows(
        "select event_id::text, type, occurred_at, received_at, deliveries, payload::text, payload_sanitized"
        " from whatsapp_events order by event_id::text"
    )
    assert [tuple(row.values()) for row in found] == stored
    assert len(found) == 294


def test_a_file_says_from_which_moment_it_is(lake: Lake) -> None:
    write(lake, DAY)
    metadata = read(lake, "whatsapp_events", DAY).schema.metadata
    assert metadata[b"schema_version"] == b"1"
    assert datetime.fromisoformat(metadata[b"state_at"].decode()).tzinfo == UTC


def test_a_past_date_is_stale_until_it_is_written_and_again_when_it_changes(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.load()
    assert stale_dates(lake.connection, lake.snapshots) == [DAY]
    write(lake, DAY)
    assert stale_dates(lake.connection, lake.snapshots) == []
    lake.land(line(event(), 2))
    lake.load()
    assert stale_dates(lake.connection, lake.snapshots) == [DAY]


def test_a_failed_write_leaves_the_old_file(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.load()
    write(lake, DAY)
    lake.connection.execute("alter table whatsapp_events rename column type to kind")
    with pytest.raises(Exception, match="type"):
        write(lake, DAY)
    assert read(lake, "whatsapp_events", DAY).num_rows == 1
