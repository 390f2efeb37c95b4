"""What was received before a date loses its content in every place: type, people and times stay."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from aged import BEFORE, NEW, OLD, age, compared, differences, dump
from command import wpp_lake
from erasing import PHONE, erase, everything, landed, landing_lines
from factories import event, event_id, group, line, message, participant, sign
from lake import Lake
from psycopg import sql

from pipelines.cli.status import Listing, collect, notes
from pipelines.landing.hours import today
from pipelines.loading.load import load, rebuild
from pipelines.orchestration.definitions import defs
from pipelines.privacy.apply import sweep
from pipelines.privacy.columns import TABLES
from pipelines.privacy.content_expiry import expire_content
from pipelines.privacy.done import Done
from pipelines.privacy.expiry import ExpiryDateError, expire
from pipelines.privacy.proof import verify as prove
from pipelines.redaction.erasures import ErasureKeyError, ErasureList, lifted
from pipelines.redaction.facts import of_payload
from pipelines.settings import LakeSettings
from pipelines.snapshots.write import write_snapshots
from receiver.landing import encode_line

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


IDS = (
    "select event_id, id from whatsapp_events order by 1",
    "select external_jid, id from whatsapp_groups order by 1",
    "select external_jid, id from whatsapp_participants order by 1",
)


def test_what_is_left_is_what_a_rebuild_makes_with_everybodys_ids(aged: Lake) -> None:
    ids = [aged.rows(each) for each in IDS]
    people = {name: aged.content()[name] for name in ("participants", "jids", "pairs")}
    done = expired(aged)
    assert (done.counts["changed_lines"], done.counts["events"]) == (313, 294)
    assert [aged.rows(each) for each in IDS] == ids
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
    new = [(old, now) for key, lines in before.items() if "date=2026-05-22" in key
           for old, now in zip(lines, after[key], strict=True)]  # fmt: skip
    assert [old == now for old, now in new].count(False) == 11  # of events that were received before


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
    assert (done.counts["files"], done.counts["lines"], done.counts["events"]) == (9, 354, 40)
    assert first
    assert ErasureList(aged.zone).entries() == [done.erasure]
    objects = ErasureList(aged.zone).objects()
    assert objects == sorted([f"erasures/before/{first.id}.json", done.erasure.key if done.erasure else ""])
    assert proved(aged) == {}
    kept = aged.content()
    assert made_anew(aged) == kept
    assert differences(aged) == []


VIEWS = ("whatsapp_messages", "whatsapp_membership_changes")
LENGTH = "text_length"  # is of what is gone


def facts_of_views(lake: Lake) -> dict[str, list[str]]:
    """Return the rows of the views, in what isn't classed as content."""
    shown = {
        name: sql.SQL(", ").join(sql.Identifier(each) for each, of in TABLES[name].items() if of.kind != "content")
        for name in VIEWS
    }
    return {name: rows_of(lake, columns, name) for name, columns in shown.items()}


def rows_of(lake: Lake, columns: sql.Composed, table: str) -> list[str]:
    """Return a table's rows in these columns, but for the length of what is gone."""
    found = lake.connection.execute(sql.SQL("select {} from {}").format(columns, sql.Identifier(table)))
    named = [each.name for each in found.description or ()]
    return sorted(repr([value for name, value in zip(named, row, strict=True) if name != LENGTH]) for row in found)


def test_the_views_lose_content_and_nothing_else(aged: Lake) -> None:
    key = {"remoteJid": group(), "fromMe": False, "id": "A"}
    changes = [
        {"reactionMessage": {"key": key, "text": "❤", "senderTimestampMs": "1779336843000"}},
        {"protocolMessage": {"key": key, "type": "MESSAGE_EDIT", "editedMessage": {"conversation": "segredo"}}},
        {"protocolMessage": {"key": key, "type": "REVOKE"}},
    ]
    sent = [message(WHO, key="A"), *(message(WHO, key=f"B{n}", message=each) for n, each in enumerate(changes))]
    aged.land(*(line(event(each), f"sent {number}", OLD) for number, each in enumerate(sent)), at=OLD)
    load(aged.connection, aged.zone, [OLD], "run")
    what = "select reactions, reaction_emojis, edited_text, deleted_at is null from whatsapp_messages"
    of_ours = f"{what} where message_id = 'A' and group_jid = '{group()}'"
    assert aged.rows(of_ours) == [(1, ["❤"], "segredo", False)]
    before = facts_of_views(aged)
    assert all(len(rows) > 20 for rows in before.values())
    expired(aged, BEFORE + timedelta(days=1))
    assert facts_of_views(aged) == before
    assert aged.rows("select count(text), count(edited_text), count(media_type) from whatsapp_messages") == [(0, 0, 0)]
    assert aged.rows(of_ours) == [(1, ["[erased]"], None, False)]


def test_a_delivery_of_what_has_lost_its_content_brings_none_back(aged: Lake, sample: list[dict[str, Any]]) -> None:
    expired(aged)
    events = aged.content()["events"]
    aged.land(*(landed(each, LATER) for each in sample), at=LATER)
    load(aged.connection, aged.zone, [LATER], "run")
    payloads = "select event_id, payload from whatsapp_events where received_at < '2026-05-22' order by 1"
    assert aged.rows(payloads) == [(each[0], each[9]) for each in events if each[7] < NEW.replace(hour=0)]
    kept = aged.content()
    assert made_anew(aged) == kept
    assert set(proved(aged)) == {"landing zone"}  # until the sweep
    assert sweep(aged.settings, aged.connection).counts["content_changed_lines"] == 300
    assert proved(aged) == {}
    kept = aged.content()
    assert made_anew(aged) == kept
    assert differences(aged) == []
    assert not sweep(aged.settings, aged.connection).counts.total()


def test_another_body_of_such_an_event_loses_its_content_too(keyed: Lake) -> None:
    keyed.land(line(event(message(WHO, text="segredo")), "a", OLD), at=OLD)
    load(keyed.connection, keyed.zone, [OLD], "run")
    expired(keyed)
    keyed.land(line(event(message(WHO, text="outro segredo", more=1)), "a", LATER), at=LATER)
    keyed.land(line(event(message(WHO, text="novo")), "b", LATER), at=LATER)
    load(keyed.connection, keyed.zone, [LATER], "run")
    assert "segredo" not in repr(keyed.content())
    assert "novo" in repr(keyed.content())
    sweep(keyed.settings, keyed.connection)
    assert "segredo" not in everything(keyed)
    kept = keyed.content()
    assert made_anew(keyed) == kept


def test_an_event_that_was_delivered_on_both_sides_of_the_date(keyed: Lake) -> None:
    for at, text in ((OLD, "segredo"), (NEW, "segredo"), (LATER, "outro segredo")):
        described = line(event(METADATA, kind="groups.metadata"), "m", at)
        keyed.land(line(event(message(WHO, text=text)), "a", at), described, at=at)
        load(keyed.connection, keyed.zone, [at], "run")
    expired(keyed)
    assert "segredo" not in everything(keyed)
    kept = keyed.content()
    assert made_anew(keyed) == kept
    assert differences(keyed) == []


def test_what_is_landed_late_or_restored_is_loaded_without_content(aged: Lake) -> None:
    key, lines = min(landing_lines(aged).items())
    expired(aged)
    content = aged.content()
    aged.client.put_object(Bucket=aged.settings.landing_bucket, Key=key, Body=b"\n".join(lines))
    aged.land(line(event(message(WHO, text="segredo")), "late", OLD), at=OLD)
    load(aged.connection, aged.zone, [OLD], "run")
    assert len(aged.content()["events"]) == len(content["events"]) + 1
    assert "segredo" not in repr(aged.content())
    assert set(proved(aged)) == {"landing zone"}
    counts = sweep(aged.settings, aged.connection).counts
    assert (counts["content_changed_files"], counts["content_changed_lines"]) == (2, 51)
    assert proved(aged) == {}
    kept = aged.content()
    assert made_anew(aged) == kept


def test_a_restored_older_dump_is_swept(aged: Lake) -> None:
    restore = dump(aged)
    expired(aged)
    content = aged.content()
    restore()
    assert aged.content() != content
    sweep(aged.settings, aged.connection)
    assert aged.content() == content
    assert proved(aged) == {}
    assert differences(aged) == []


def test_what_came_before_its_event_did_is_found_by_a_full_sweep(keyed: Lake) -> None:
    """An hour that was forgotten is loaded after a delivery of a later one, whose content the tables have."""
    keyed.land(line(event(message(WHO, text="segredo")), "other", OLD), at=OLD)
    load(keyed.connection, keyed.zone, [OLD], "run")
    expired(keyed)
    late = OLD + timedelta(hours=1)
    keyed.land(line(event(message(WHO, text="segredo")), "a", late), at=late)
    keyed.land(line(event(message(WHO, text="segredo", more=1)), "a", LATER), at=LATER)
    for hour in (LATER, late):
        load(keyed.connection, keyed.zone, [hour], "run")
    sweep(keyed.settings, keyed.connection, full=True)
    assert "segredo" not in everything(keyed)
    assert proved(keyed) == {}
    kept = keyed.content()
    assert made_anew(keyed) == kept


def test_of_a_group_the_description_goes_from_past_states_too(keyed: Lake) -> None:
    keyed.land(line(event(METADATA, kind="groups.metadata"), "m", OLD), at=OLD)
    load(keyed.connection, keyed.zone, [OLD], "run")
    list(write_snapshots(keyed.settings, keyed.snapshots, today()))
    with keyed.snapshots.open("whatsapp_groups", today()) as opened:
        assert opened
        metadata, content = opened
        table = content.read()
    past = OLD.date()
    keyed.snapshots.write("whatsapp_groups", past, table.schema.remove_metadata(), table.to_batches(), metadata)
    expired(keyed)
    left = {name: value for name, value in METADATA.items() if name != "desc"}
    assert keyed.rows("select display_name, payload from whatsapp_groups") == [("Grupo", left)]
    for day in (past, today()):
        shown = keyed.snapshots.read("whatsapp_groups", day, ["payload"])["payload"]
        assert [json.loads(each.as_py()) for each in shown] == [left]
    kept = keyed.content()
    assert made_anew(keyed) == kept


def test_parquet_files_of_the_dates_follow(aged: Lake) -> None:
    expired(aged)
    days = (OLD.date(), NEW.date())
    old, new = (aged.snapshots.read("whatsapp_events", day, ["type", "payload"]).to_pylist() for day in days)
    assert len(old) == 294
    assert all(of_payload(each["type"], json.loads(each["payload"])) == json.loads(each["payload"]) for each in old)
    assert any("conversation" in each["payload"] and "erased" not in each["payload"] for each in new)
    paths = {each.as_py() for each in aged.snapshots.read("payload_fields", OLD.date(), ["path"])["path"]}
    assert not [each for each in paths if each.endswith(("caption", "mediaKey", ".text.text"))]


def test_what_is_no_event_leaves_a_tombstone_in_quarantine_too(keyed: Lake) -> None:
    forged = line(event(message(WHO, text="segredo")), "forged", OLD).replace(b'"signature":"', b'"signature":"0')
    future = line(event(message(WHO, text="segredo")), "future", LATER).replace(b'"signature":"', b'"signature":"0')
    body = b'{"type": 1, "payload": {"text": "segredo"}}'
    odd, broken = line(body, "odd", OLD), line(b'{"type": "segredo', "broken", OLD)
    stone = json.dumps({"erased": "x", "reason": "segredo", "mac": "0"}).encode() + b"\n"
    good = line(event(message(WHO, text="segredo")), "good", OLD)
    key = keyed.land(forged, future, odd, broken, b"segredo\n", stone, good, at=OLD)
    load(keyed.connection, keyed.zone, [OLD], "run")
    assert len(keyed.rows("select from quarantined_events")) == 6
    expired(keyed)
    assert "segredo" not in everything(keyed)
    assert b"segredo" not in b"".join(bytes(raw) for (raw,) in keyed.rows("select raw from quarantined_events"))
    reasons = [json.loads(each).get("reason") for each in landing_lines(keyed)[key]]
    assert reasons == ["not_authentic", "not_authentic", None, "bad_line", "bad_line", "bad_line", None]
    states = "select line_number, reason from quarantined_events order by 1"
    found = keyed.rows(states)
    kept = keyed.content()
    assert made_anew(keyed) == kept
    assert keyed.rows(states) == found
    assert proved(keyed) == {}


@pytest.mark.parametrize("is_first", [True, False])
def test_a_forged_delivery_of_such_an_event_leaves_a_tombstone(keyed: Lake, *, is_first: bool) -> None:
    keyed.land(line(event(message(WHO, text="segredo")), "a", OLD), at=OLD)
    load(keyed.connection, keyed.zone, [OLD], "run")
    if is_first:
        expired(keyed)
    body = event(message(WHO, text="segredo"))
    foreign = encode_line(event_id("a"), LATER, "current", sign(body, event_id("a"), secret="another"), body)
    good = line(event(message(WHO, text="novo")), "b", LATER)
    keyed.land(foreign, good, at=LATER)
    load(keyed.connection, keyed.zone, [LATER], "run")
    if is_first:
        sweep(keyed.settings, keyed.connection)
    else:
        expired(keyed)
    assert proved(keyed) == {}
    assert "segredo" not in everything(keyed)
    assert b"segredo" not in b"".join(bytes(raw) for (raw,) in keyed.rows("select raw from quarantined_events"))


def test_where_a_landing_file_is_lost_the_table_loses_its_content(keyed: Lake) -> None:
    key = keyed.land(line(event(message(WHO, text="segredo")), "a", OLD), at=OLD)
    load(keyed.connection, keyed.zone, [OLD], "run")
    keyed.client.delete_object(Bucket=keyed.settings.landing_bucket, Key=key)
    expired(keyed)
    ((payload,),) = keyed.rows("select payload from whatsapp_events")
    assert payload["message"] == {"conversation": {"erased": True}}


def test_beside_erasures_of_people_and_expiries(aged: Lake) -> None:
    first = erase(aged, PHONE)
    expired(aged)
    second = erase(aged, "5500910100004", "T-2")
    for done in (first, second):
        assert done.erasure
        assert prove(aged.settings, aged.connection, done.erasure.id)["matches"] == 0
    assert proved(aged) == {}
    kept = aged.content()
    assert made_anew(aged) == kept
    assert differences(aged) == []
    whole = expire(aged.settings, aged.connection, BEFORE, "T", "me").erasure
    assert whole
    assert [each.kind for each in ErasureList(aged.zone).entries()] == ["person", "before", "person", "before"]
    assert proved(aged) == {}
    assert compared(aged).differences == []
    load(aged.connection, aged.zone, [OLD, NEW], "run")


def test_without_the_key_it_is_refused_and_so_is_a_load_after_it(aged: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = aged.settings
    monkeypatch.delenv("ERASURE_KEY")
    aged.settings = LakeSettings.from_environment()
    with pytest.raises(ErasureKeyError, match="ERASURE_KEY isn't set"):
        expired(aged)
    assert ErasureList(aged.zone).entries() == []
    aged.settings = keyed
    expired(aged)
    keyless = type(aged.zone)(LakeSettings.from_environment())
    with pytest.raises(ErasureKeyError, match="ERASURE_KEY isn't set"):
        load(aged.connection, keyless, [OLD], "run")


def test_one_that_is_lifted_ends(aged: Lake) -> None:
    done = expired(aged)
    assert done.erasure
    ErasureList(aged.zone).put(lifted(done.erasure, "me"))
    aged.land(line(event(message(WHO, text="volta")), "late", OLD), at=OLD)
    load(aged.connection, aged.zone, [OLD], "run")
    assert "volta" in repr(aged.content())


def test_no_older_version_is_left(keyed: Lake, own_bucket: str) -> None:
    keyed.client.put_bucket_versioning(Bucket=own_bucket, VersioningConfiguration={"Status": "Enabled"})
    keys = [keyed.land(line(event(message(WHO, text="segredo")), name, OLD), at=OLD) for name in ("a", "b")]
    load(keyed.connection, keyed.zone, [OLD], "run")
    keyed.client.delete_object(Bucket=own_bucket, Key=keys[1])
    done = expired(keyed)
    assert (done.counts["changed_files"], done.counts["versions"]) == (1, 1)
    assert proved(keyed) == {}
    found = keyed.client.list_object_versions(Bucket=own_bucket, Prefix="whatsapp/")
    assert [(each["Key"], each["IsLatest"]) for each in found["Versions"]] == [(keys[0], True)]


def test_a_date_that_is_not_there_yet_is_refused(aged: Lake) -> None:
    with pytest.raises(ExpiryDateError, match="is after today"):
        expired(aged, today() + timedelta(days=2))
    assert ErasureList(aged.zone).entries() == []


def test_it_is_told(aged: Lake) -> None:
    expired(aged)
    assert compared(aged).told["events whose content has expired"] == 294
    expire(aged.settings, aged.connection, date(2026, 5, 2), "T", "me")
    found = collect(aged.settings, listing=Listing.NOTHING)
    assert found["expired"] == {"all": "2026-05-02", "content": "2026-05-22"}
    assert notes(found)[-2:] == [
        "everything received before 2026-05-02 has expired",
        "content received before 2026-05-22 has expired",
    ]


def test_the_verb(aged: Lake) -> None:
    done = wpp_lake("expire", "--before", BEFORE, "--content", "--reference", "T-9", "--by", "ana", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    (entry,) = ErasureList(aged.zone).entries()
    assert (shown["expiry"], shown["before"], shown["counts"]["events"]) == (entry.id, str(BEFORE), 294)
    assert (entry.kind, entry.keeps, entry.reference, entry.by) == ("before", "facts", "T-9", "ana")
    assert f"{entry.id}  content  " in wpp_lake("erase", "ls").stdout
    proof = wpp_lake("erase", "verify", entry.id)
    assert proof.returncode == 0, proof.stdout
    assert "0 matches" in proof.stdout
    aged.connection.execute("update whatsapp_events set payload = '{\"text\": \"x\"}' where received_at < '2026-05-22'")
    assert wpp_lake("erase", "verify", entry.id).returncode == 1


def test_the_job_does_both_by_their_settings(
    aged: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_CONTENT_DAYS", str((today() - BEFORE).days))
    monkeypatch.setenv("RETENTION_DAYS", str((today() - date(2026, 5, 1)).days))
    assert defs.resolve_job_def("expire").execute_in_process(instance=instance).success
    told = {(each.keeps, each.reference, each.by) for each in ErasureList(aged.zone).entries()}
    assert told == {(None, "RETENTION_DAYS", "the job expire"), ("facts", "RETENTION_CONTENT_DAYS", "the job expire")}
    assert proved(aged) == {}
