"""One event, followed through everything: where it is, and where its chain breaks."""

import io
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from command import wpp_lake
from factories import RECEIVED, SECRET, event, event_id, line
from lake import Lake

from pipelines.audit.trace import Trace, trace
from pipelines.landing.authenticity import Verifier
from pipelines.snapshots.bucket import snapshot_key
from pipelines.snapshots.write import write_snapshots
from receiver.landing import file_metadata, new_key

VERIFIER = Verifier((SECRET.encode(),))


def follow(lake: Lake, name: object = 1) -> Trace:
    """Follow the event of that name."""
    return trace(lake.connection, lake.zone, lake.snapshots, VERIFIER, UUID(event_id(name)))


@pytest.fixture
def key(lake: Lake) -> str:
    """Land an event, twice, among others, load it and write its snapshot; return the landing file's key."""
    key, lines = new_key(RECEIVED), line(event(), 0) + line(event(), 1) + line(event(), 1)
    metadata = file_metadata(SECRET.encode(), key, lines)
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=lines, Metadata=metadata)
    lake.load()
    list(write_snapshots(lake.settings, lake.snapshots, RECEIVED.date()))
    return key


def test_a_whole_event_is_shown_at_every_station(lake: Lake, key: str) -> None:
    found = follow(lake)
    assert [
        (each["landing_key"], each["landing_line"], each["signature"], each["file"], each["became"])
        for each in found.deliveries
    ] == [(key, 2, "verifies", "as it was put", "loaded"), (key, 3, "verifies", "as it was put", "loaded")]
    assert found.row
    assert (found.row["landing_key"], found.row["landing_line"], found.row["deliveries"]) == (key, 2, 2)
    assert found.parquet == {"key": snapshot_key("whatsapp_events", RECEIVED.date()), "state": "has it"}
    assert (found.other_bodies, found.breaks) == ([], [])


def test_another_body_is_shown_with_its_place(lake: Lake, key: str) -> None:
    other = lake.land(line(event({"other": True}), 1, RECEIVED + timedelta(seconds=1)))
    lake.load()
    found = follow(lake)
    assert [(each["landing_key"], each["landing_line"]) for each in found.other_bodies] == [(other, 1)]
    assert (len(found.deliveries), found.breaks, key != other) == (3, [], True)


def test_an_unknown_event_has_no_landed_line(lake: Lake, key: str) -> None:
    found = follow(lake, "never sent")
    assert (found.row, found.breaks, bool(key)) == (None, ["no landed line holds it"], True)


def test_a_row_without_its_landed_line_breaks_there(lake: Lake, key: str) -> None:
    lake.client.delete_object(Bucket=lake.settings.landing_bucket, Key=key)
    assert "no landed line holds it" in follow(lake).breaks


def test_a_deleted_row_breaks_there(lake: Lake, key: str) -> None:
    lake.connection.execute("delete from whatsapp_events where event_id = %s", [event_id(1)])
    assert f"{key}:2 was loaded, and no row is there: `wpp-lake rebuild`" in follow(lake).breaks


def test_a_line_that_is_not_loaded_yet_breaks_there(lake: Lake) -> None:
    landed = lake.land(line(event(), 1))
    assert follow(lake).breaks == [f"{landed} isn't in the ledger: `wpp-lake load`"]


def test_an_event_in_quarantine_breaks_there(lake: Lake) -> None:
    landed = lake.land(line(event(), 0), line(b'{"type":"x"}', 1))
    lake.load()
    [(entry,)] = lake.rows("select id::text from quarantined_events")
    found = follow(lake)
    assert found.breaks == [f"{landed}:2 is in quarantine: `wpp-lake quarantine show {entry}`"]
    assert found.deliveries[0]["became"] == f"open in quarantine, bad_envelope: {entry}"


def test_a_parquet_file_without_the_row_breaks_there(lake: Lake, key: str) -> None:
    parquet = snapshot_key("whatsapp_events", RECEIVED.date())
    bucket = lake.settings.snapshot_bucket
    found = lake.client.get_object(Bucket=bucket, Key=parquet)
    rows, without = pq.read_table(io.BytesIO(found["Body"].read())), io.BytesIO()
    pq.write_table(rows.filter(pc.field("event_id") != event_id(1)), without)
    lake.client.put_object(Bucket=bucket, Key=parquet, Body=without.getvalue(), Metadata=found["Metadata"])
    assert follow(lake).breaks == [f"{parquet} lacks it: `wpp-lake snapshot --date 2026-05-21`"]
    assert key


def test_a_parquet_file_that_is_behind_is_no_break(lake: Lake, key: str) -> None:
    lake.land(line(event(), 5))
    lake.load()
    found = follow(lake, 5)
    assert (found.parquet and found.parquet["state"], found.breaks) == ("is behind its table", [])
    assert key


def told(name: object) -> tuple[int, Any]:
    """Run the verb, and return its exit code and what it printed as JSON."""
    done = wpp_lake("trace", event_id(name), "--json")
    return done.returncode, json.loads(done.stdout)


def test_the_verb_exits_with_1_where_the_chain_breaks(lake: Lake, key: str) -> None:
    code, whole = told(1)
    assert (code, whole["breaks"], whole["deliveries"][0]["landing_key"]) == (0, [], key)
    assert told("never sent")[0] == 1
    plain = wpp_lake("trace", event_id(1).upper())
    assert (plain.returncode, plain.stdout.splitlines()[-1]) == (0, "whole")
    assert "oi" not in plain.stdout
    assert lake.settings.landing_bucket


def test_a_body_that_is_not_the_chosen_one_any_more_breaks_there(lake: Lake, key: str) -> None:
    content = lake.client.get_object(Bucket=lake.settings.landing_bucket, Key=key)["Body"].read()
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=content.replace(b"oi", b"ei"))
    found = follow(lake)
    assert [each["signature"] for each in found.deliveries] == ["doesn't verify", "doesn't verify"]
    assert f"{key}:2 doesn't hold the body that it is said to: `wpp-lake verify`" in found.breaks
