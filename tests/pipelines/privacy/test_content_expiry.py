"""What was received before a date loses its content in every place: type, people and times stay, and nothing is lost."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aged import BEFORE, age, differences
from erasing import landing_lines
from factories import group, participant
from lake import Lake

from pipelines.loading.load import rebuild
from pipelines.privacy.apply import sweep
from pipelines.privacy.content_expiry import expire_content
from pipelines.privacy.done import Done
from pipelines.privacy.proof import verify as prove
from pipelines.redaction.erasures import ErasureList
from pipelines.redaction.facts import of_payload

LATER = datetime(2026, 5, 23, 9, tzinfo=UTC)
WHO = participant(1)
METADATA = {"id": group(), "subject": "Grupo", "desc": "segredo", "subjectTime": 1779336000, "participants": [
    {"id": f"{WHO.lid}@lid", "phoneNumber": f"{WHO.phone}@s.whatsapp.net", "admin": None},
]}  # fmt: skip


@pytest.fixture
def aged(keyed: Lake, sample: list[dict[str, Any]]) -> Lake:
    """Return a lake with an erasure key and two days."""
    age(keyed, sample)
    return keyed


def expired(lake: Lake, before: Any = BEFORE) -> Done:
    """Take the content out of what is older than a date."""
    return expire_content(lake.settings, lake.connection, before, "T", "me")


def proved(lake: Lake) -> dict[str, list[str]]:
    """Return where content is left that has expired, by place."""
    (entry,) = (each for each in ErasureList(lake.zone).entries() if each.keeps)
    proof = prove(lake.settings, lake.connection, entry.id)
    assert proof["matches"] == sum(place["matches"] for place in proof["places"])
    return {place["name"]: place["where"] for place in proof["places"] if place["matches"]}


def made_anew(lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    """Return what a rebuild makes of the landing zone."""
    rebuild(lake.connection, lake.zone, "again")
    return lake.content()


def test_what_is_left_is_what_a_rebuild_makes_with_everybodys_ids(aged: Lake) -> None:
    ids = {
        table: aged.rows(f"select {name}, id from {table} order by 1")
        for table, name in (
            ("whatsapp_events", "event_id"),
            ("whatsapp_groups", "external_jid"),
            ("whatsapp_participants", "external_jid"),
        )
    }
    people = {name: aged.content()[name] for name in ("participants", "jids", "pairs")}
    done = expired(aged)
    assert (done.counts["changed_lines"], done.counts["events"]) == (312, 296)
    assert {
        table: aged.rows(f"select {name}, id from {table} order by 1")
        for table, name in (
            ("whatsapp_events", "event_id"),
            ("whatsapp_groups", "external_jid"),
            ("whatsapp_participants", "external_jid"),
        )
    } == ids
    assert {name: aged.content()[name] for name in people} == people
    kept = aged.content()
    assert made_anew(aged) == kept


def test_every_line_of_before_has_neither_signature_nor_content(aged: Lake) -> None:
    before = landing_lines(aged)
    expired(aged)
    after = landing_lines(aged)
    assert {key: len(lines) for key, lines in after.items()} == {key: len(lines) for key, lines in before.items()}
    old = [json.loads(each) for key, lines in after.items() for each in lines if "date=2026-05-21" in key]
    assert len(old) == 302
    assert all("signature" not in each and "raw" not in each and each["erased"] and each["mac"] for each in old)
    assert sorted(each["reason"] for each in old if "reason" in each) == ["bad_line", "bad_line"]
    bodies = [each["body"] for each in old if "body" in each]
    assert all(of_payload(each["type"], each["payload"]) == each["payload"] for each in bodies)
    changed = [old for key, lines in before.items() for old, new in zip(lines, after[key], strict=True) if old != new]
    again = [each for each in changed if json.loads(each)["received_at"][:10] == "2026-05-22"] if 0 else []
    assert again == []


def test_nothing_alarms_and_everything_still_agrees(aged: Lake) -> None:
    expired(aged)
    assert differences(aged) == []


def test_nothing_is_left_where_it_covers_and_the_proof_finds_what_is_put_back(aged: Lake) -> None:
    key, lines = min(landing_lines(aged).items())
    ((event, payload),) = aged.rows(
        "select event_id, payload::text from whatsapp_events where type = 'messages.upsert'"
        " and payload #>> '{message,conversation}' <> '' and received_at < '2026-05-22' limit 1"
    )
    expired(aged)
    assert proved(aged) == {}
    aged.connection.execute("update whatsapp_events set payload = %s where event_id = %s", (payload, event))
    aged.connection.execute("update quarantined_events set raw = 'segredo' where reason = 'bad_line'")
    aged.client.put_object(Bucket=aged.settings.landing_bucket, Key=key, Body=b"\n".join(lines))
    assert {name: len(where) for name, where in proved(aged).items()} == {
        "landing zone": 20,
        "table whatsapp_events": 1,
        "table quarantined_events": 2,
    }


def test_done_twice_it_changes_nothing(aged: Lake) -> None:
    expired(aged)
    before = aged.content(), landing_lines(aged), ErasureList(aged.zone).objects(), aged.rows("table event_days")
    for done in (expired(aged), expired(aged, BEFORE - timedelta(days=1)), sweep(aged.settings, aged.connection)):
        assert not {name: count for name, count in done.counts.items() if count and name not in {"files", "lines"}}
    assert (aged.content(), landing_lines(aged), ErasureList(aged.zone).objects()) == before[:3]
    assert aged.rows("table event_days") == before[3]


def test_a_later_one_touches_what_is_newly_due_and_takes_the_formers_place(aged: Lake) -> None:
    first = expired(aged).erasure
    done = expired(aged, BEFORE + timedelta(days=1))
    assert (done.counts["files"], done.counts["lines"], done.counts["events"]) == (9, 352, 40)
    assert first
    assert ErasureList(aged.zone).entries() == [done.erasure]
    objects = ErasureList(aged.zone).objects()
    assert objects == sorted([f"erasures/before/{first.id}.json", done.erasure.key if done.erasure else ""])
    assert proved(aged) == {}
    kept = aged.content()
    assert made_anew(aged) == kept
    assert differences(aged) == []
