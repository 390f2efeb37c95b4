"""What is lost, added or changed by hand anywhere is named, with what mends it; a whole lake has no difference."""

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pyarrow.parquet as pq
import pytest
from command import wpp_lake
from factories import RECEIVED, event, event_id, line, message, participant
from lake import Lake

from pipelines.audit.reconcile import NAMED, Report, reconcile
from pipelines.landing.hours import today
from pipelines.snapshots.bucket import snapshot_key
from pipelines.snapshots.write import write_snapshots
from receiver.landing import hour_prefix

NOW = datetime.now(UTC)


def compared(lake: Lake, *, full: bool = True) -> Report:
    """Reconcile a lake."""
    return reconcile(lake.connection, lake.zone, lake.snapshots, full=full)


def run(lake: Lake, statement: str) -> None:
    """Change the tables by hand."""
    lake.connection.execute(statement.encode())


@pytest.fixture
def whole(lake: Lake) -> Lake:
    """Return a lake with events of two hours, a duplicate, a second body, a bad line and current snapshots."""
    earlier = RECEIVED - timedelta(hours=1)
    lake.land(line(event(), 1, earlier), line(event(message(participant(2))), 2, earlier), b"not json\n", at=earlier)
    lake.land(line(event(), 1), line(event(message(participant(2), text="outra")), 2), line(event(), 3))
    lake.load(earlier)
    lake.load()
    for day in (RECEIVED.date(), today()):
        list(write_snapshots(lake.settings, lake.snapshots, day))
    return lake


def test_a_whole_lake_has_no_difference(whole: Lake) -> None:
    report = compared(whole)
    assert (report.differences, report.found) == ([], {})
    assert report.compared == {"landing_files": 2, "landed_lines": 6, "parquet_files": 5}
    assert report.told == {"bad_line, open in quarantine": 1}


def delete_landed_file(lake: Lake) -> None:
    """Delete an object of the landing zone."""
    [(key,)] = lake.rows("select key from landing_files order by key desc limit 1")
    lake.client.delete_object(Bucket=lake.settings.landing_bucket, Key=key)


def change_landed_file(lake: Lake) -> None:
    """Put other bytes in the place of a landing file."""
    [(key,)] = lake.rows("select key from landing_files order by key desc limit 1")
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 9))


def drop_snapshot_row(lake: Lake) -> None:
    """Put a Parquet file with a row less in the place of the present one, of the same revision."""
    key = snapshot_key("whatsapp_events", RECEIVED.date())
    found = lake.client.get_object(Bucket=lake.settings.snapshot_bucket, Key=key)
    rows = pq.read_table(io.BytesIO(found["Body"].read()))
    shorter = io.BytesIO()
    pq.write_table(rows.slice(1), shorter)
    lake.client.put_object(
        Bucket=lake.settings.snapshot_bucket, Key=key, Body=shorter.getvalue(), Metadata=found["Metadata"]
    )


def delete_snapshot(lake: Lake) -> None:
    """Delete a Parquet file."""
    key = snapshot_key("whatsapp_events", RECEIVED.date())
    lake.client.delete_object(Bucket=lake.settings.snapshot_bucket, Key=key)


def by_hand(statement: str) -> Callable[[Lake], None]:
    """Return what runs a statement against the tables."""
    return lambda lake: run(lake, statement)


DELETE_EVENT_3 = """
    delete from whatsapp_events where event_id = (
        select event_id from whatsapp_events where landing_line = 3 order by received_at desc limit 1)"""
ADD_EVENT = """
    insert into whatsapp_events
    select (jsonb_populate_record(each, jsonb_build_object('id', uuidv7(), 'event_id', uuidv7()))).*
    from whatsapp_events as each where landing_line = 3"""
LOSSES: dict[str, tuple[Callable[[Lake], None], set[str]]] = {
    "a landed file": (delete_landed_file, {"missing", "not_landed"}),
    "a landed file's bytes": (change_landed_file, {"changed", "files", "not_in_tables", "not_landed"}),
    "an event": (
        by_hand(DELETE_EVENT_3),
        {"sums", "not_in_tables", "parquet"},
    ),
    "that an event was never landed": (by_hand(ADD_EVENT), {"sums", "not_landed", "parquet"}),
    "a delivery": (by_hand("update whatsapp_events set deliveries = 1"), {"sums"}),
    "an entry of the ledger": (
        by_hand('delete from landing_files where key = (select min(key collate "C") from landing_files)'),
        {"sums", "references"},
    ),
    "a line of the ledger": (
        by_hand("update landing_files set lines = lines + 1 where quarantined = 0"),
        {"files", "entries"},
    ),
    "an entry of the quarantine": (by_hand("delete from quarantined_events"), {"entries"}),
    "a snapshot's row": (drop_snapshot_row, {"parquet"}),
    "a snapshot": (delete_snapshot, {"parquet"}),
}


@pytest.mark.parametrize("lost", LOSSES)
def test_what_is_lost_by_hand_is_found_and_named_with_its_remedy(whole: Lake, lost: str) -> None:
    lose, kinds = LOSSES[lost]
    lose(whole)
    report = compared(whole)
    assert set(report.found) == kinds
    assert all(each.what and each.fault and each.remedy for each in report.differences)


def test_a_lost_event_is_named_with_its_landed_line(whole: Lake) -> None:
    [(key,)] = whole.rows("select landing_key from whatsapp_events where landing_line = 3")
    run(whole, DELETE_EVENT_3)
    found = [each for each in compared(whole).differences if each.kind == "not_in_tables"]
    assert [(each.what, each.fault) for each in found] == [(event_id(3), f"{key}:3")]


def test_a_stale_parquet_file_is_behind_and_no_difference(whole: Lake) -> None:
    whole.land(line(event(), 4))
    whole.load()
    report = compared(whole)
    assert (report.differences, report.told["Parquet files behind their tables"]) == ([], 4)


def test_an_address_that_differs_is_named_by_its_digest(whole: Lake) -> None:
    """Reports end in logs, which hold no person."""
    [jid, *_] = [jid for (jid,) in whole.rows("select jid from whatsapp_participant_jids")]
    whole.connection.execute("delete from whatsapp_participant_jids where jid = %s", [jid])
    [fault] = [each.fault for each in compared(whole).differences if each.kind == "parquet"]
    assert sha256(jid.encode()).hexdigest()[:16] in fault
    assert jid.split("@")[0] not in fault


def test_a_file_that_waits_for_its_load_is_no_difference(whole: Lake) -> None:
    whole.land(line(event(), 4))
    assert compared(whole).differences == []


def test_a_file_put_aside_whole_is_no_difference(whole: Lake) -> None:
    whole.land(line(event(), 5).replace(b"oi", b"ei"), line(event(), 6).replace(b"oi", b"ei"))
    whole.load()
    report = compared(whole)
    assert (report.differences, report.told["not_authentic, open in quarantine"]) == ([], 1)


def test_without_full_old_lines_are_left_and_recent_ones_compared(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.land(line(event(), 2, NOW), at=NOW)
    lake.load()
    lake.load(NOW)
    assert compared(lake, full=False).compared == {"landing_files": 1, "landed_lines": 1}
    run(lake, f"delete from whatsapp_events where landing_key like '{hour_prefix(NOW)}%'")  # noqa: S608  a key of ours
    assert set(compared(lake, full=False).found) == {"sums", "not_in_tables"}


def test_many_differences_are_counted_and_the_first_ones_named(lake: Lake) -> None:
    lake.land(*(line(event(), number) for number in range(NAMED + 5)))
    lake.load()
    run(lake, "delete from whatsapp_events")
    report = compared(lake)
    assert report.found["not_in_tables"] == NAMED + 5
    assert len([each for each in report.differences if each.kind == "not_in_tables"]) == NAMED


def told(*words: object) -> tuple[int, Any]:
    """Run the verb, and return its exit code and what it printed as JSON."""
    done = wpp_lake("reconcile", "--full", "--json", *words)
    return done.returncode, json.loads(done.stdout)


def test_the_verb_exits_with_1_on_a_difference_and_0_without(whole: Lake) -> None:
    code, report = told()
    assert (code, report["ok"], report["differences"]) == (0, True, [])
    run(whole, DELETE_EVENT_3)
    code, report = told()
    assert (code, report["ok"]) == (1, False)
    assert {each["kind"] for each in report["differences"]} == {"sums", "not_in_tables", "parquet"}
    plain = wpp_lake("reconcile", "--full")
    assert (plain.returncode, "`wpp-lake rebuild`" in plain.stdout) == (1, True)


def test_a_rebuild_mends_what_was_deleted_from_the_tables(whole: Lake) -> None:
    run(whole, "delete from whatsapp_event_revisions")
    run(whole, "delete from whatsapp_events")
    assert wpp_lake("rebuild").returncode == 0
    assert compared(whole).differences == []
