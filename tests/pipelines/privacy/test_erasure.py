"""A person is taken out of every place and doesn't come back; others stay as they are."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from erasing import CREATOR, CREATORS_LID, LID, PHONE, erase, everything, landed, landing_lines
from factories import RECEIVED, SECRET, event, event_id, group, line, message, participant
from lake import Lake

from pipelines.audit.reconcile import reconcile
from pipelines.audit.verify import verify
from pipelines.landing.authenticity import Verifier
from pipelines.loading.alarms import alarms
from pipelines.loading.load import load, rebuild
from pipelines.loading.pending import list_everything
from pipelines.privacy.apply import Request, apply, sweep
from pipelines.privacy.people import WhoError, of_event, of_group, of_person
from pipelines.privacy.proof import verify as prove
from pipelines.redaction.erasures import ErasureKeyError, ErasureList, lifted
from pipelines.settings import LakeSettings

LATER = datetime(2099, 1, 1, 10, tzinfo=UTC)


def differences(lake: Lake) -> list[str]:
    """Return what verify and reconcile find."""
    verifier = Verifier([SECRET.encode()], lake.settings.erasure_key_bytes)
    _, failures = verify(lake.connection, lake.zone, verifier)
    report = reconcile(lake.connection, lake.zone, lake.snapshots, full=True)
    return failures + [str(each) for each in report.differences]


@pytest.mark.parametrize("who", [PHONE, CREATOR, "910100000000014@lid", "910100000000007@lid", "5500910100004"])
def test_what_is_left_is_what_a_rebuild_makes_with_everybodys_ids(filled: Lake, who: str) -> None:
    events = dict(filled.rows("select event_id, id from whatsapp_events"))
    groups = {name for (name,) in filled.rows("select id from whatsapp_groups")}
    people = dict(filled.rows("select external_jid, id from whatsapp_participants"))
    names = of_person(filled.connection, who).names
    assert any(name.partition("@")[0] in everything(filled) for name in names)
    done = erase(filled, who)
    left = everything(filled)
    assert done.counts["changed_lines"]
    assert not [name for name in names if name.partition("@")[0] in left]
    assert dict(filled.rows("select event_id, id from whatsapp_events")) == events
    assert {name for (name,) in filled.rows("select id from whatsapp_groups")} == groups
    assert dict(filled.rows("select external_jid, id from whatsapp_participants")).items() <= people.items()
    content = filled.content()
    rebuild(filled.connection, filled.zone, "again")
    assert filled.content() == content


def test_lines_without_the_person_keep_every_byte(filled: Lake) -> None:
    before = landing_lines(filled)
    erase(filled, PHONE)
    after = landing_lines(filled)
    assert {key: len(lines) for key, lines in after.items()} == {key: len(lines) for key, lines in before.items()}
    changed = [old for key, lines in before.items() for old, new in zip(lines, after[key], strict=True) if old != new]
    assert len(changed) == 11
    assert all(PHONE.encode() in each or LID.encode() in each for each in changed)


def test_nothing_alarms_and_everything_still_agrees(filled: Lake) -> None:
    assert differences(filled) == []
    erase(filled, PHONE)
    assert differences(filled) == []
    assert alarms(filled.connection) == []


def test_the_proof_counts_no_match_and_needs_no_phone(filled: Lake) -> None:
    done = erase(filled, PHONE)
    assert done.erasure
    proof = prove(filled.settings, filled.connection, done.erasure.id)
    assert (proof["matches"], proof["after_request"]) == (0, 0)
    assert all(place["items"] for place in proof["places"] if place["name"] in {"landing zone", "tables"})
    listed = ErasureList(filled.zone)
    kept = json.loads(listed.get_object(f"erasures/{done.erasure.id}/proof.json"))
    assert kept == proof
    text = b"".join(map(listed.get_object, listed.objects())).decode()
    assert PHONE not in text
    assert LID not in text


def test_the_proof_finds_what_somebody_put_back(filled: Lake) -> None:
    done = erase(filled, PHONE)
    assert done.erasure
    filled.connection.execute(
        "insert into quarantined_events (landing_key, line_number, reason, detail, raw, first_seen)"
        " values ('k', 1, 'bad_line', '', %s, '2026-01-01')",
        (f"liga pro +{PHONE[:2]} {PHONE[2:4]} {PHONE[4:9]}-{PHONE[9:]}".encode(),),
    )
    proof = prove(filled.settings, filled.connection, done.erasure.id)
    assert proof["matches"] == 1
    assert next(place["where"] for place in proof["places"] if place["matches"])[0].startswith("quarantined_events ")


def test_the_proof_of_an_event_and_of_a_group_finds_what_somebody_put_back(filled: Lake) -> None:
    found = filled.rows(
        "select event_id, payload::text from whatsapp_events"
        " where type = 'messages.upsert' and payload #>> '{message,conversation}' <> '' order by event_id limit 1"
    )
    ((event, payload),) = found
    group = "120363001010000002@g.us"
    ours = [(of_event(filled.connection, event), "T-1"), (of_group(ErasureList(filled.zone), group), "T-2")]
    done = [apply(filled.settings, filled.connection, Request(who, reference, "me")) for who, reference in ours]
    of_the_event, of_the_group = (each.erasure.id for each in done if each.erasure)
    for each in (of_the_event, of_the_group):
        proof = prove(filled.settings, filled.connection, each)
        assert proof["matches"] == 0, [
            (place["name"], place["matches"], place["where"][:2]) for place in proof["places"]
        ]
    filled.connection.execute("update whatsapp_events set payload = %s where event_id = %s", (payload, event))
    filled.connection.execute(
        "insert into quarantined_events (landing_key, line_number, reason, detail, raw, first_seen)"
        " values ('k', 1, 'bad_line', '', %s, '2026-01-01')",
        (json.dumps({"chat_jid": group}).encode(),),
    )
    assert prove(filled.settings, filled.connection, of_the_event)["matches"] == 1
    assert prove(filled.settings, filled.connection, of_the_group)["matches"] >= 1


def test_a_delivery_of_what_was_erased_brings_nobody_back(filled: Lake, sample: list[dict[str, Any]]) -> None:
    erase(filled, PHONE)
    content = filled.content()
    filled.land(*(landed(each, LATER) for each in sample), at=LATER)
    load(filled.connection, filled.zone, [LATER], "run")
    assert PHONE not in repr(filled.content())
    assert LID not in repr(filled.content())
    assert len(filled.content()["events"]) == len(content["events"])
    assert PHONE in everything(filled)  # in the landing zone, until the sweep
    assert sweep(filled.settings, filled.connection).counts["changed_lines"]
    assert PHONE not in everything(filled)
    assert sweep(filled.settings, filled.connection).counts["changed_lines"] == 0


def test_a_new_message_of_somebody_who_stays_lands(filled: Lake) -> None:
    erase(filled, PHONE)
    body = event(message(participant(1), text=f"oi @{PHONE}"))
    filled.land(line(body, "new", LATER), at=LATER)
    load(filled.connection, filled.zone, [LATER], "run")
    assert f"oi @{PHONE}" in repr(filled.content())
    done = sweep(filled.settings, filled.connection)
    assert done.counts["changed_lines"] == 0
    (erasure,) = ErasureList(filled.zone).entries()
    proof = prove(filled.settings, filled.connection, erasure.id)
    assert proof["matches"] == 0
    assert proof["after_request"]


def test_an_objection_covers_what_comes_later_too(filled: Lake) -> None:
    erase(filled, PHONE, ever=True)
    filled.land(line(event(message(participant(1), text=f"oi @{PHONE}")), "new", LATER), at=LATER)
    load(filled.connection, filled.zone, [LATER], "run")
    assert PHONE not in repr(filled.content())
    assert "oi @[erased]" in repr(filled.content())


def test_a_lifted_erasure_covers_nothing_more(filled: Lake) -> None:
    done = erase(filled, PHONE, ever=True)
    assert done.erasure
    ErasureList(filled.zone).put(lifted(done.erasure, "me"))
    filled.land(line(event(message(participant(1), text=f"oi @{PHONE}")), "new", LATER), at=LATER)
    load(filled.connection, filled.zone, [LATER], "run")
    assert f"oi @{PHONE}" in repr(filled.content())


def test_without_the_key_nothing_is_loaded(filled: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    erase(filled, PHONE)
    monkeypatch.delenv("ERASURE_KEY")
    keyless = type(filled.zone)(LakeSettings.from_environment())
    with pytest.raises(ErasureKeyError, match="ERASURE_KEY isn't set"):
        load(filled.connection, keyless, [RECEIVED], "run")


def test_a_restored_older_dump_is_swept(filled: Lake) -> None:
    filled.connection.execute("create schema dump")
    tables = [name for (name,) in filled.rows("select tablename from pg_tables where schemaname = 'public'")]
    for name in tables:
        filled.connection.execute(f"create table dump.{name} as table public.{name}".encode())
    erase(filled, PHONE)
    content = filled.content()
    with filled.connection.transaction():
        filled.connection.execute("set local session_replication_role = replica")
        for name in tables:
            filled.connection.execute(f"delete from public.{name}".encode())  # noqa: S608  names of our own tables
            filled.connection.execute(f"insert into public.{name} select * from dump.{name}".encode())  # noqa: S608  names of tables
    filled.connection.execute("drop schema dump cascade")
    assert PHONE in repr(filled.content())
    list_everything(filled.connection, filled.zone)
    assert alarms(filled.connection) == []
    sweep(filled.settings, filled.connection)
    assert filled.content() == content
    assert differences(filled) == []


def test_a_lid_that_changed_hands_must_be_named(keyed: Lake) -> None:
    shared, first, second = participant(7).lid, participant(1).phone, participant(2).phone
    for number, phone in enumerate((first, second)):
        shown = {"participant": f"{shared}@lid", "participantAlt": f"{phone}@s.whatsapp.net"}
        body = message(text=f"text {number}", key=f"K{number}", messageTimestamp=1779336842 + number)
        keyed.land(line(event(body | {"key": body["key"] | shown}), number))
    load(keyed.connection, keyed.zone, [RECEIVED], "run")
    with pytest.raises(WhoError, match="changed hands"):
        of_person(keyed.connection, f"{first}")
    with pytest.raises(WhoError, match="several phones"):
        of_person(keyed.connection, f"{shared}@lid")
    who = of_person(keyed.connection, f"+{first}", others=[f"{shared}@lid"])
    assert who.names == (f"{first}@s.whatsapp.net",)
    assert "left out" in who.told[0]


def test_a_lid_is_known_in_each_of_its_spellings(filled: Lake) -> None:
    plain = of_person(filled.connection, "910100000000014@lid")
    assert of_person(filled.connection, "910100000000014:7@lid") == plain
    assert of_person(filled.connection, "910100000000014@hosted.lid") == plain


def test_a_number_given_to_somebody_else_later(keyed: Lake) -> None:
    """The former holder of a number is erased; what the next one writes lands, under the same number."""
    former = participant(1)
    keyed.land(line(event(message(former, text="do antigo", key="A")), "former"))
    load(keyed.connection, keyed.zone, [RECEIVED], "run")
    erase(keyed, f"{former.phone}")
    assert keyed.rows("select count(*) from whatsapp_participants") == [(0,)]
    holder = message(participant(2, phone=False), text="do novo", key="B")
    holder["key"]["participantAlt"] = f"{former.phone}@s.whatsapp.net"
    keyed.land(line(event(holder), "next", LATER), at=LATER)
    load(keyed.connection, keyed.zone, [LATER], "run")
    sweep(keyed.settings, keyed.connection, full=True)
    assert keyed.rows("select external_jid from whatsapp_participants") == [(f"{former.phone}@s.whatsapp.net",)]
    assert keyed.rows("select payload #>> '{message,conversation}' from whatsapp_events order by received_at") == [
        (None,),
        ("do novo",),
    ]
    content = keyed.content()
    rebuild(keyed.connection, keyed.zone, "again")
    assert keyed.content() == content


def test_lines_that_are_no_events_become_tombstones(keyed: Lake) -> None:
    forged = line(event(message(participant(1), text="x")), "forged").replace(b'"signature":"', b'"signature":"0')
    garbage = f"não é json, mas fala de {participant(1).phone}\n".encode()
    good = line(event(message(participant(2), text="y")), "good")
    key = keyed.land(forged, garbage, good)
    load(keyed.connection, keyed.zone, [RECEIVED], "run")
    erase(keyed, f"{participant(1).phone}")
    lines = landing_lines(keyed)[key]
    assert [json.loads(each).get("reason") for each in lines[:2]] == ["not_authentic", "bad_line"]
    assert lines[2] + b"\n" == good
    states = "select line_number, reason, detail like 'erased by %', raw from quarantined_events order by 1"
    found = [(number, reason, told, bytes(raw)) for number, reason, told, raw in keyed.rows(states)]
    assert found == [(1, "not_authentic", True, lines[0]), (2, "bad_line", True, lines[1])]
    assert differences(keyed) == []
    rebuild(keyed.connection, keyed.zone, "again")
    assert [tuple(each)[:2] for each in keyed.rows(states)] == [(1, "not_authentic"), (2, "bad_line")]


def test_a_file_that_was_forged_isnt_made_authentic(keyed: Lake) -> None:
    content = line(event(message(participant(1), text="x")), "some") + line(event(message(participant(2))), "other")
    key = keyed.land(content)
    metadata = {"sha256": "0" * 64}
    keyed.client.put_object(Bucket=keyed.settings.landing_bucket, Key=key, Body=content, Metadata=metadata)
    load(keyed.connection, keyed.zone, [RECEIVED], "run")
    erase(keyed, f"{participant(1).phone}")
    rebuild(keyed.connection, keyed.zone, "again")
    assert keyed.rows("select count(*) from whatsapp_events") == [(0,)]
    assert f"{participant(1).phone}" not in repr(keyed.rows("select convert_from(raw, 'UTF8') from quarantined_events"))


def test_a_group_whose_id_holds_the_creators_number_goes_on(filled: Lake) -> None:
    erase(filled, CREATOR)
    groups = dict(
        filled.rows(
            "select external_jid, count(*) from whatsapp_groups g join whatsapp_events on group_id = g.id group by 1"
        )
    )
    assert groups["[erased]-1500000000@g.us"] > 10
    assert CREATORS_LID not in everything(filled)
    body = event(message(participant(1), chat=f"{CREATOR}-1500000000@g.us"), chat=f"{CREATOR}-1500000000@g.us")
    filled.land(line(body, "new", LATER), at=LATER)
    load(filled.connection, filled.zone, [LATER], "run")
    names = {name for (name,) in filled.rows("select external_jid from whatsapp_groups")}
    assert {"[erased]-1500000000@g.us", f"{CREATOR}-1500000000@g.us"} <= names


def test_past_states_lose_the_person_too(filled: Lake) -> None:
    past = datetime.now(UTC).date() - timedelta(days=3)
    with filled.snapshots.open("whatsapp_participants", datetime.now(UTC).date()) as opened:
        assert opened
        metadata, content = opened
        table = content.read()
    batches = table.to_batches()
    filled.snapshots.write("whatsapp_participants", past, table.schema.remove_metadata(), batches, metadata)
    names = {name.as_py() for name in table["external_jid"]}
    erase(filled, PHONE)
    left = filled.snapshots.read("whatsapp_participants", past, ["external_jid"])
    assert {name.as_py() for name in left["external_jid"]} == names - {f"{PHONE}@s.whatsapp.net"}


def test_two_people_in_either_order_leave_the_same(filled: Lake) -> None:
    erase(filled, PHONE, "T-1")
    erase(filled, "5500910100004", "T-2")
    content = filled.content()
    assert erase(filled, PHONE, "T-1").counts["changed_lines"] == 0
    assert filled.content() == content
    assert differences(filled) == []
    assert len(ErasureList(filled.zone).entries()) == 2


def test_older_versions_are_removed(filled: Lake) -> None:
    bucket = filled.settings.landing_bucket
    filled.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    try:
        for page in list(filled.zone.files()):
            for each in list(filled.zone.fetch(page)):
                filled.client.put_object(Bucket=bucket, Key=each.file.key, Body=each.content)
        done = erase(filled, PHONE)
        versions = filled.client.list_object_versions(Bucket=bucket, Prefix="whatsapp/").get("Versions", [])
        bodies = [
            filled.client.get_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])["Body"].read()
            for each in versions
        ]
        assert done.counts["changed_files"]
        assert not [each for each in bodies if PHONE.encode() in each]
    finally:
        filled.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        for version in filled.client.list_object_versions(Bucket=bucket).get("Versions", []):
            filled.client.delete_object(Bucket=bucket, Key=version["Key"], VersionId=version["VersionId"])


def test_an_event_is_erased_with_its_copies(keyed: Lake) -> None:
    sent = message(participant(1), text="segredo", key="3EB0SECRET")
    copied = event({"id": group(), "messages": [{"message": sent}]}, kind="chats.update")
    quote = {
        "extendedTextMessage": {
            "text": "olha",
            "contextInfo": {"stanzaId": "3EB0SECRET", "quotedMessage": sent["message"]},
        }
    }
    quoting = message(participant(2), key="Q")
    quoting["message"] = quote
    keyed.land(line(event(sent), "sent"), line(copied, "copy"), line(event(quoting), "quote"))
    load(keyed.connection, keyed.zone, [RECEIVED], "run")
    apply(keyed.settings, keyed.connection, Request(of_event(keyed.connection, UUID(event_id("sent"))), "T", "me"))
    assert "segredo" not in everything(keyed)
    assert "olha" in everything(keyed)
    assert len(keyed.content()["participants"]) == 2
    content = keyed.content()
    rebuild(keyed.connection, keyed.zone, "again")
    assert keyed.content() == content


def test_a_group_is_erased_with_everything_in_it(filled: Lake) -> None:
    jid = "120363001010000002@g.us"
    apply(filled.settings, filled.connection, Request(of_group(ErasureList(filled.zone), jid), "T", "me"))
    assert jid not in everything(filled)
    assert filled.rows("select count(*) from whatsapp_groups") == [(3,)]
    content = filled.content()
    rebuild(filled.connection, filled.zone, "again")
    assert filled.content() == content
    assert differences(filled) == []


def test_a_group_that_lost_its_creators_number_is_erased_by_the_id_that_people_know(filled: Lake) -> None:
    [(former,)] = filled.rows("select external_jid from whatsapp_groups where external_jid ~ '^[0-9]+-'")
    erase(filled, CREATOR)
    who = of_group(ErasureList(filled.zone), former)
    now = former.replace(CREATOR, "[erased]")
    assert who.names == (former, now)
    assert now in everything(filled)
    assert apply(filled.settings, filled.connection, Request(who, "T-2", "me")).counts["changed_lines"]
    left = everything(filled)
    assert now not in left
    assert former not in left
    content = filled.content()
    rebuild(filled.connection, filled.zone, "again")
    assert filled.content() == content
    assert differences(filled) == []
