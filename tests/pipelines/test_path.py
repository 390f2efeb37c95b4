"""The whole path of an event: signed POST, landing file, tables, Parquet; the same when it is walked twice."""

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
from lake import SAMPLE, Lake
from receiver_process import start_receiver

from pipelines.cli.replay import replay, requests
from pipelines.landing.hours import today
from pipelines.snapshots.write import write_snapshots

if TYPE_CHECKING:
    from servers import S3


def walk(lake: Lake, s3: "S3") -> Counter[str]:
    """Send the sample to a receiver that has seen nothing yet, load what landed, write the snapshots."""
    with start_receiver(s3, lake.settings.landing_bucket) as receiver:
        with SAMPLE.open("rb") as sample_file:
            answers = replay(requests(sample_file), receiver.url)
        assert receiver.stop() == 0
    for page in lake.zone.files():
        for file in page:
            lake.load(file.hour)
    list(write_snapshots(lake.settings, lake.snapshots, today()))
    return answers


def snapshot(lake: Lake, table: str) -> list[dict[str, Any]]:
    """Read a table's snapshot of today."""
    key = f"{table}/date={today()}/{table}.parquet"
    found = lake.client.get_object(Bucket=lake.settings.snapshot_bucket, Key=key)
    return pq.read_table(io.BytesIO(found["Body"].read())).to_pylist()


def test_the_sample_walked_once_and_again(lake: Lake, s3: "S3") -> None:
    first = walk(lake, s3)
    counts = "select (select count(*) from whatsapp_groups), (select count(*) from whatsapp_participants)"
    assert (first.total(), set(first)) == (300, {"accepted", "duplicate"})
    assert lake.rows(counts) == [(4, 44)]
    assert lake.rows("select count(*), sum(deliveries)::int from whatsapp_events") == [(294, first["accepted"])]
    assert {event["event_id"] for event in snapshot(lake, "whatsapp_events")} == {
        str(event_id) for (event_id,) in lake.rows("select event_id from whatsapp_events")
    }

    before, ids = content(lake), lake.rows("select event_id, id, deliveries from whatsapp_events order by 1")
    second = walk(lake, s3)
    after = lake.rows("select event_id, id, deliveries from whatsapp_events order by 1")
    assert content(lake) == before
    assert [row[:2] for row in after] == [row[:2] for row in ids]
    assert sum(row[2] for row in after) == first["accepted"] + second["accepted"]
    assert lake.rows("select count(*) from quarantined_events") == [(0,)]


def content(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a second walk must not change: everything but the times of receipt and what is ordered by them."""
    queries = {
        "groups": "select external_jid, display_name, payload, first_seen_at from whatsapp_groups order by 1",
        "participants": "select external_jid, push_name, first_seen_at from whatsapp_participants order by 1",
        "jids": "select jid, participant_id, push_name, first_seen_at from whatsapp_participant_jids order by 1",
        "events": "select event_id, type, group_id, participant_id, participant_jid, occurred_at, received_at, payload"
        " from whatsapp_events order by 1",
        "revisions": "select event_id, body_sha256, received_at from whatsapp_event_revisions order by 1, 2",
    }
    return {name: lake.rows(query) for name, query in queries.items()}


def test_one_person_whose_phone_is_learnt_late(lake: Lake, sample: list[dict[str, Any]], s3: "S3") -> None:
    """The five events of the sample that show a LID first, then its phone, are one participant's."""
    walk(lake, s3)
    ids = [request["headers"]["X-Event-Id"] for request in sample if request["category"] == "identity.lid_then_pn"]
    people = lake.connection.execute(
        "select external_jid, count(*) from whatsapp_events"
        " join whatsapp_participants p on p.id = participant_id where event_id = any(%s::uuid[]) group by 1",
        [ids],
    ).fetchall()
    assert people == [("5500910100009@s.whatsapp.net", 5)]
