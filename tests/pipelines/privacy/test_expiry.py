"""What was received before a date goes from every place, stays away, and nothing takes it for lost."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import dagster as dg
import obstore
import psycopg
import pytest
from command import wpp_lake
from dagster._core.definitions.schedule_definition import ScheduleExecutionData
from erasing import PHONE, erase, everything, landed, landing_lines
from factories import RECEIVED, SECRET, event, event_id, line, message, participant, sign
from lake import Lake
from project import ROOT
from psycopg import sql

from pipelines.audit.reconcile import Report, reconcile
from pipelines.audit.verify import verify
from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.landing.authenticity import Verifier
from pipelines.landing.hours import today
from pipelines.loading.alarms import alarms
from pipelines.loading.batches import Batch
from pipelines.loading.ledger import LoadCounts, enter
from pipelines.loading.load import load, load_batch, rebuild
from pipelines.loading.pending import list_everything, pending
from pipelines.loading.store import ErasedMeanwhileError, store, store_observations
from pipelines.orchestration.definitions import defs
from pipelines.orchestration.schedules import SCHEDULES
from pipelines.privacy.apply import sweep
from pipelines.privacy.done import Done
from pipelines.privacy.expiry import ExpiryDateError, expire
from pipelines.privacy.proof import verify as prove
from pipelines.privacy.removal import remove
from pipelines.redaction.erasures import ErasureList, NoSuchErasureError, lifted
from pipelines.redaction.lines import read_eraser
from pipelines.settings import LakeSettings, SettingsError
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.schemas import FIELDS, SCHEMAS
from pipelines.snapshots.write import write_snapshots
from receiver.landing import encode_line, hour_prefix

OLD, NEW = RECEIVED, datetime(2026, 5, 22, 10, 0, 1, tzinfo=UTC)
BEFORE = date(2026, 5, 22)
# For each step that it reads a fork that expires, and is killed where it calls one of these functions, or goes on with
# it, for the nth time.
EXPIRIES = """
import os, signal, sys
from datetime import date
from pipelines.db.connection import connect
from pipelines.privacy.expiry import expire
from pipelines.settings import LakeSettings
def expire_until(left, functions):
    def watch(frame, event, _):
        nonlocal left
        if event == "call" and frame.f_code.co_qualname in functions:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
    settings = LakeSettings.from_environment()
    with connect(settings) as conn:
        sys.setprofile(watch)
        expire(settings, conn, date.fromisoformat(sys.argv[1]), "T", "me")
for order in sys.stdin:
    times, *functions = order.split()
    pid = os.fork()
    if pid == 0:
        expire_until(int(times), functions)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""
# In the order in which they come.
STEPS = (
    "1 announce",
    "1 expire_rows",
    "1 _Rows.people",
    "1 _Rows.rest",
    "1 remove_files",
    "2 _objects _versions",  # landing files are removed
    "1 remove_snapshots",
    "4 _objects _versions",  # snapshots of one table are removed
    "1 _record",
)


def with_id(request: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a request of the sample under another event id."""
    return request | {"headers": request["headers"] | {"X-Event-Id": event_id(f"{name} {request['headers']}")}}


def age(lake: Lake, sample: list[dict[str, Any]], order: tuple[datetime, ...] = (OLD, NEW)) -> None:
    """Land the sample on one day; on the next one some of it as other events, and some events again, one twice."""
    lines = [landed(each, OLD) for each in sample]
    for start in range(0, len(lines), 50):
        lake.land(*lines[start : start + 50], at=OLD)
    lake.land(b"open\n", b"discarded\n", at=OLD)
    lake.land(*(landed(with_id(each, "new"), NEW) for each in sample[:40]), b"stays\n", at=NEW)
    lake.land(*(landed(each, NEW) for each in sample[100:110]), landed(sample[100], NEW), at=NEW)
    for hour in order:
        load(lake.connection, lake.zone, [hour], "run")
    lake.connection.execute("update quarantined_events set state = 'discarded' where raw = 'discarded'")
    for day in (OLD.date(), NEW.date(), today()):
        list(write_snapshots(lake.settings, lake.snapshots, day, tuple(SCHEMAS)))
        write_catalogue(lake.settings, lake.snapshots, day)


@pytest.fixture
def aged(lake: Lake, sample: list[dict[str, Any]]) -> Lake:
    """Return a lake with two days."""
    age(lake, sample)
    return lake


def expired(lake: Lake, before: date = BEFORE) -> Done:
    """Expire what is older than a date."""
    return expire(lake.settings, lake.connection, before, "T", "me")


def compared(lake: Lake) -> Report:
    """Compare everything."""
    return reconcile(lake.connection, lake.zone, lake.snapshots, full=True)


def differences(lake: Lake) -> list[str]:
    """Return what verify, whose lines are all ours but for those without sense, and reconcile find."""
    verifier = Verifier([SECRET.encode()], lake.settings.erasure_key_bytes)
    _, failures = verify(lake.connection, lake.zone, verifier)
    wrong = [each for each in failures if "malformed" not in each]
    return wrong + [str(each) for each in compared(lake).differences] + [each.key for each in alarms(lake.connection)]


def event_ids(lake: Lake) -> list[str]:
    """Return the events of the table."""
    return [event_id for (event_id,) in lake.rows("select event_id::text from whatsapp_events order by 1")]


def of_files(lake: Lake) -> list[str]:
    """Return the events that the landing files hold."""
    lines = (line for lines in landing_lines(lake).values() for line in lines if line.startswith(b"{"))
    return sorted({json.loads(line)["event_id"].lower() for line in lines})


def leftovers(lake: Lake) -> list[str]:
    """Name the places that hold anything of the first day."""
    below = hour_prefix(datetime.combine(BEFORE, datetime.min.time(), UTC))
    of_day = {
        "landing files": [key for key in landing_lines(lake) if key < below],
        "snapshots": [day for table in (*SCHEMAS, FIELDS) for day in lake.snapshots.dates(table) if day < str(BEFORE)],
    }
    queries = {
        "events": f"select from whatsapp_events where received_at < '{BEFORE}' or landing_key < '{below}'",
        "revisions": f"select from whatsapp_event_revisions where landing_key < '{below}'",
        "ledger": f"select from landing_files where key < '{below}'",
        "quarantine": f"select from quarantined_events where landing_key < '{below}'",
        "addresses": f"select from whatsapp_participant_jids where last_seen_at < '{BEFORE}'",
        "people": f"select from whatsapp_participants where last_seen_at < '{BEFORE}'",
        "groups": f"select from whatsapp_groups where last_seen_at < '{BEFORE}'",
        "pairs": "select from whatsapp_jid_pairs where not exists (select from whatsapp_participant_jids"
        " where jid = lid_jid) or not exists (select from whatsapp_participant_jids where jid = phone_jid)",
        "dates": f"select from event_days where received_on < '{BEFORE}'",
        "snapshot files": f"select from snapshot_files where date < '{BEFORE}'",
    }
    return [
        name for name, found in (of_day | {name: lake.rows(text) for name, text in queries.items()}).items() if found
    ]


def test_what_was_received_before_goes_from_every_place(aged: Lake) -> None:
    assert set(leftovers(aged)) == {
        "landing files", "snapshots", "events", "revisions", "ledger", "quarantine", "addresses", "people", "dates",
        "snapshot files",
    }  # fmt: skip
    ids, losses = "select event_id, id from whatsapp_events", aged.rows("select * from landing_losses")
    kept = dict(aged.rows(f"{ids} where last_received_at >= '2026-05-22'"))
    done = expired(aged)
    assert leftovers(aged) == []
    assert event_ids(aged) == of_files(aged)
    assert dict(aged.rows(ids)) == kept
    assert aged.rows("select raw from quarantined_events") == [(b"stays",)]
    assert aged.rows("select * from landing_losses") == losses
    told = {name: done.counts[name] for name in ("files", "entries", "quarantined", "open_in_quarantine", "snapshots")}
    assert told == {"files": 7, "entries": 7, "quarantined": 2, "open_in_quarantine": 1, "snapshots": 5}


def test_nothing_alarms_and_everything_still_agrees(aged: Lake) -> None:
    assert differences(aged) == []
    expired(aged)
    assert differences(aged) == []
    assert not any("expired" in name for name in compared(aged).told)


@pytest.mark.parametrize("order", [(OLD, NEW), (NEW, OLD)])
def test_an_event_that_was_delivered_again_goes_on_by_that(
    lake: Lake, sample: list[dict[str, Any]], order: tuple[datetime, ...]
) -> None:
    age(lake, sample, order)
    again = [each["headers"]["X-Event-Id"].lower() for each in sample[100:110]]
    expired(lake)
    found = lake.connection.execute(
        "select event_id::text, received_at, deliveries from whatsapp_events where event_id = any(%s::uuid[])", (again,)
    ).fetchall()
    assert sorted(found) == sorted((each, NEW, 2 if each == again[0] else 1) for each in set(again))
    assert differences(lake) == []


def test_what_is_left_is_what_a_rebuild_makes_but_for_first_sights(aged: Lake) -> None:
    expired(aged)
    kept = aged.content()
    rebuild(aged.connection, aged.zone, "again")
    made = aged.content()
    assert sights(kept) == {OLD}
    assert sights(made) == {NEW}
    assert without_first_sights(made) == without_first_sights(kept)
    assert differences(aged) == []


SEEN = ("groups", "participants", "jids")  # whose last columns are when they were seen first and last


def sights(content: dict[str, list[tuple[Any, ...]]]) -> set[datetime]:
    """Return when groups and people were seen first."""
    return {each[-2] for name in SEEN for each in content[name]}


def without_first_sights(content: dict[str, list[tuple[Any, ...]]]) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything else."""
    return content | {name: [(*each[:-2], each[-1]) for each in content[name]] for name in SEEN}


def test_somebody_seen_since_by_a_lid_alone_loses_the_phone(lake: Lake) -> None:
    who = participant(1)
    lake.land(line(event(message(who)), "old", OLD), at=OLD)
    lake.land(line(event(message(participant(1, phone=False))), "new", NEW), at=NEW)
    load(lake.connection, lake.zone, [OLD, NEW], "run")
    people = "select external_jid, count(*) from whatsapp_participants p join whatsapp_events on participant_id = p.id"
    assert lake.rows(f"{people} group by 1") == [(f"{who.phone}@s.whatsapp.net", 2)]
    expired(lake)
    assert lake.rows(f"{people} group by 1") == [(f"{who.lid}@lid", 1)]
    assert f"{who.phone}" not in everything(lake)
    kept = without_first_sights(lake.content())
    rebuild(lake.connection, lake.zone, "again")
    assert without_first_sights(lake.content()) == kept
    assert differences(lake) == []


def test_what_only_expired_lines_showed_of_somebody_who_stays_goes(lake: Lake) -> None:
    """And what an event showed that happened before, but was received since, comes to light."""
    who = participant(1)
    lake.land(line(event(message(who, pushName="antes")), "old", OLD), at=OLD)
    earlier = message(who, pushName="ainda antes", messageTimestamp=1779330000)
    lake.land(line(event(earlier), "late", NEW), at=NEW)
    load(lake.connection, lake.zone, [OLD, NEW], "run")
    names = "select id, push_name from whatsapp_participants"
    ((row_id, name),) = lake.rows(names)
    assert name == "antes"
    expired(lake)
    assert lake.rows(names) == [(row_id, "ainda antes")]
    assert '"antes"' not in everything(lake)
    assert differences(lake) == []


def test_a_delivery_that_was_discarded_stays_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its signature verifies meanwhile: it is no delivery of the event that goes on."""
    body, again = event(), event_id("event")
    foreign = encode_line(again, NEW, "current", sign(body, again, secret="another-secret"), body)
    lake.land(line(body, "event", OLD), at=OLD)
    lake.land(line(body, "event", NEW), foreign, at=NEW)
    load(lake.connection, lake.zone, [OLD, NEW], "run")
    lake.connection.execute("update quarantined_events set state = 'discarded'")
    monkeypatch.setenv("WHATSAPP_WEBHOOK_RETIRED_SECRETS", '["another-secret"]')
    lake.settings = LakeSettings.from_environment()
    expired(lake)
    assert lake.rows("select deliveries from whatsapp_events") == [(1,)]
    assert compared(lake).differences == []


def test_done_twice_it_changes_nothing(aged: Lake) -> None:
    expired(aged)
    before = aged.content(), landing_lines(aged), ErasureList(aged.zone).objects(), aged.rows("table state_revision")
    assert not expired(aged).counts.total()
    assert not expired(aged, BEFORE - timedelta(days=1)).counts.total()
    assert not sweep(aged.settings, aged.connection).counts.total()
    after = aged.content(), landing_lines(aged), ErasureList(aged.zone).objects(), aged.rows("table state_revision")
    assert after == before


def test_killed_at_any_step_nothing_differs_and_the_next_one_goes_on(aged: Lake) -> None:
    command = [sys.executable, "-c", EXPIRIES, str(BEFORE)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        for step in STEPS:
            print(step, file=process.stdin, flush=True)
            assert (step, int(process.stdout.readline())) == (step, -signal.SIGKILL)
            load(aged.connection, aged.zone, [OLD, NEW], "run")
            assert (step, differences(aged)) == (step, [])
        process.stdin.close()
    (begun,) = ErasureList(aged.zone).entries()
    expired(aged)
    assert leftovers(aged) == []
    assert event_ids(aged) == of_files(aged)
    assert differences(aged) == []
    assert ErasureList(aged.zone).entries() == [begun]


def test_a_file_that_is_restored_is_not_loaded_and_goes_again(aged: Lake) -> None:
    key, lines = min(landing_lines(aged).items())
    expired(aged)
    content = aged.content()
    aged.client.put_object(Bucket=aged.settings.landing_bucket, Key=key, Body=b"\n".join(lines))
    assert list(pending(aged.connection, aged.zone)) == []
    assert load(aged.connection, aged.zone, [OLD], "run").files == 0
    rebuild(aged.connection, aged.zone, "again")
    assert [row[0] for row in aged.content()["events"]] == [row[0] for row in content["events"]]
    assert differences(aged) == []
    assert compared(aged).told["landing files that have expired"] == 1
    assert sweep(aged.settings, aged.connection).counts == {"expired_files": 1}
    assert leftovers(aged) == []


def test_what_is_delivered_anew_is_a_new_event(aged: Lake, sample: list[dict[str, Any]]) -> None:
    expired(aged)
    later = NEW + timedelta(hours=1)
    aged.land(landed(sample[200], later), at=later)
    assert load(aged.connection, aged.zone, [later], "run").loaded == 1
    assert expired(aged).counts["events"] == 0
    assert differences(aged) == []


def test_a_load_that_has_read_before_stores_nothing_after(aged: Lake) -> None:
    aged.land(line(event(), "late", OLD), at=OLD)
    aged.land(line(event(), "more", NEW), at=NEW)
    verifier = aged.zone.verifier()
    eraser = read_eraser(aged.zone, verifier)
    late, more = (
        Batch.read(aged.zone.fetch([*pending(aged.connection, aged.zone, hour)]), verifier, eraser)
        for hour in (OLD, NEW)
    )
    with psycopg.connect(aged.settings.conninfo, autocommit=True) as other:
        expire(aged.settings, other, BEFORE, "T", "me")
    aged.connection.execute(query("load/staging_tables"))
    assert load_batch(aged.connection, late, "run") == LoadCounts()
    for batch in (late, more):
        with pytest.raises(ErasedMeanwhileError):
            store(aged.connection, batch, partial(enter, aged.connection, batch, "run"))
    assert leftovers(aged) == []
    assert load(aged.connection, aged.zone, [OLD, NEW], "run").loaded == 1
    assert differences(aged) == []


def test_a_load_goes_on_by_a_newer_list(aged: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    aged.land(line(event(), "late", OLD), at=OLD)
    aged.land(line(event(), "more", NEW), at=NEW)
    first = iter([True])

    def after_an_expiry(conn: Connection, batch: Batch, run_id: str) -> LoadCounts:
        if next(first, False):
            with psycopg.connect(aged.settings.conninfo, autocommit=True) as other:
                expire(aged.settings, other, BEFORE, "T", "me")
        return load_batch(conn, batch, run_id)

    monkeypatch.setattr("pipelines.loading.load.load_batch", after_an_expiry)
    assert load(aged.connection, aged.zone, [OLD, NEW], "run").loaded == 1
    assert next(first, None) is None
    assert leftovers(aged) == []
    assert differences(aged) == []


def test_a_load_ends_where_the_list_is_older_than_what_the_database_knows(aged: Lake) -> None:
    expired(aged)
    for key in ErasureList(aged.zone).objects():
        obstore.delete(aged.zone.store, key)
    aged.land(line(event(), "more", NEW), at=NEW)
    with pytest.raises(ErasedMeanwhileError):
        load(aged.connection, aged.zone, [NEW], "run")


def test_what_a_load_has_observed_and_not_stored_yet_stays(aged: Lake) -> None:
    """It stores people and events in two transactions, between which an expiry may come."""
    expired(aged)
    body = event(message(participant(1), pushName="agora"))
    aged.land(line(body, "now", NEW), at=NEW)
    verifier = aged.zone.verifier()
    batch = Batch.read(
        aged.zone.fetch([*pending(aged.connection, aged.zone, NEW)]), verifier, read_eraser(aged.zone, verifier)
    )
    aged.connection.execute(query("load/staging_tables"))
    store_observations(aged.connection, batch)
    people = aged.content()["jids"], aged.content()["pairs"]
    sweep(aged.settings, aged.connection)
    assert (aged.content()["jids"], aged.content()["pairs"]) == people


def test_an_older_dump_is_no_loss_and_goes_again(aged: Lake, caplog: pytest.LogCaptureFixture) -> None:
    restore = dump(aged)
    expired(aged)
    content = aged.content()
    restore()
    assert len(event_ids(aged)) > len(content["events"])
    assert differences(aged) == []
    assert compared(aged).told["entries of the ledger that have expired"] == 7
    sweep(aged.settings, aged.connection)
    assert aged.content() == content
    restore()
    rebuild(aged.connection, aged.zone, "again")
    assert "of 7 landing files have expired" in caplog.text
    assert aged.content()["events"] == content["events"]
    assert aged.rows("select count(*) from landing_losses") == [(0,)]


def test_a_file_that_is_lost_is_still_a_loss(aged: Lake) -> None:
    expired(aged)
    key = max(landing_lines(aged))
    aged.client.delete_object(Bucket=aged.settings.landing_bucket, Key=key)
    list_everything(aged.connection, aged.zone)
    assert [(each.key, each.kind) for each in alarms(aged.connection)] == [(key, "missing")]


def dump(lake: Lake) -> Callable[[], None]:
    """Keep the tables as they are now; return what restores them."""
    tables = [name for (name,) in lake.rows("select tablename from pg_tables where schemaname = 'public'")]
    lake.connection.execute("create schema dump")
    for name in tables:
        lake.connection.execute(f"create table dump.{name} as table public.{name}".encode())

    def restore() -> None:
        with lake.connection.transaction():
            lake.connection.execute("set local session_replication_role = replica")
            for name in tables:
                lake.connection.execute(sql.SQL("delete from public.{}").format(sql.Identifier(name)))
                lake.connection.execute(sql.SQL("insert into public.{0} table dump.{0}").format(sql.Identifier(name)))

    return restore


@pytest.fixture
def versioned(lake: Lake, sample: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """Return a lake with two days whose landing bucket, one of its own, keeps versions."""
    bucket = f"versioned-{uuid4()}"
    lake.client.create_bucket(Bucket=bucket)
    lake.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    monkeypatch.setenv("LANDING_BUCKET", bucket)
    lake.settings = LakeSettings.from_environment()
    lake.zone = type(lake.zone)(lake.settings)
    age(lake, sample)
    yield lake
    remove(lake.client, bucket, "", lambda _: True)
    lake.client.delete_bucket(Bucket=bucket)


def test_no_older_version_is_left(versioned: Lake) -> None:
    bucket, below = versioned.settings.landing_bucket, hour_prefix(datetime.combine(BEFORE, datetime.min.time(), UTC))
    keys = [key for key in landing_lines(versioned) if key < below]
    for key in keys[:3]:
        versioned.client.put_object(Bucket=bucket, Key=key, Body=b"newer\n")
    versioned.client.delete_object(Bucket=bucket, Key=keys[0])
    assert expired(versioned).counts["files"] == len(keys)
    found = versioned.client.list_object_versions(Bucket=bucket, Prefix="whatsapp/")
    left = [each["Key"] for each in (*found.get("Versions", ()), *found.get("DeleteMarkers", ()))]
    assert sorted(left) == sorted(landing_lines(versioned))
    assert min(left) >= below


def test_beside_erasures_of_people(keyed: Lake, sample: list[dict[str, Any]]) -> None:
    age(keyed, sample)
    first = erase(keyed, PHONE)
    expired(keyed)
    assert differences(keyed) == []
    assert leftovers(keyed) == []
    other = next(jid for (jid,) in keyed.rows("select external_jid from whatsapp_participants order by 1"))
    second = erase(keyed, other.partition("@")[0], "T-2") if other.endswith(".net") else erase(keyed, other, "T-2")
    assert second.counts["changed_lines"]
    for done in (first, second):
        assert done.erasure
        proof = prove(keyed.settings, keyed.connection, done.erasure.id)
        assert [(place["name"], place["where"]) for place in proof["places"] if place["matches"]] == []
    assert differences(keyed) == []
    assert sweep(keyed.settings, keyed.connection).counts["changed_lines"] == 0
    events = keyed.content()["events"]
    rebuild(keyed.connection, keyed.zone, "again")
    assert keyed.content()["events"] == events


def test_it_needs_no_key_of_erasures(aged: Lake) -> None:
    assert aged.settings.erasure_key is None
    expired(aged)
    aged.land(line(event(), "more", NEW), at=NEW)
    assert load(aged.connection, aged.zone, [NEW], "run").loaded == 1


def test_it_is_no_erasure_that_could_be_proved(keyed: Lake) -> None:
    done = expired(keyed)
    assert done.erasure
    with pytest.raises(NoSuchErasureError, match="is an expiry"):
        prove(keyed.settings, keyed.connection, done.erasure.id)


def test_an_expiry_that_is_lifted_ends(aged: Lake) -> None:
    key, lines = min(landing_lines(aged).items())
    done = expired(aged)
    assert done.erasure
    ErasureList(aged.zone).put(lifted(done.erasure, "me"))
    aged.client.put_object(Bucket=aged.settings.landing_bucket, Key=key, Body=b"\n".join(lines))
    assert load(aged.connection, aged.zone, [OLD], "run").files == 1


def test_a_later_expiry_includes_the_former_which_stays_on_record(aged: Lake) -> None:
    first = expired(aged).erasure
    second = expired(aged, BEFORE + timedelta(days=1)).erasure
    assert first
    assert second
    assert ErasureList(aged.zone).entries() == [second]
    assert f"erasures/before/{first.id}.json" in ErasureList(aged.zone).objects()
    assert event_ids(aged) == []
    assert differences(aged) == []


def test_a_date_that_is_not_there_yet_is_refused(aged: Lake) -> None:
    with pytest.raises(ExpiryDateError, match="is after today"):
        expired(aged, today() + timedelta(days=2))
    assert ErasureList(aged.zone).entries() == []


def test_the_verb(aged: Lake) -> None:
    assert wpp_lake("expire").returncode == 2
    for wrong, said in (("2026-5-22", "is not a date"), (f"{today() + timedelta(days=2)}", "is after today")):
        refused = wpp_lake("expire", "--before", wrong)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert said in refused.stderr
    done = wpp_lake("expire", "--before", BEFORE, "--by", "ana", "--json")
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout)
    (entry,) = ErasureList(aged.zone).entries()
    assert (shown["expiry"], shown["before"], shown["counts"]["files"]) == (entry.id, str(BEFORE), 7)
    assert (entry.kind, entry.reference, entry.by, entry.subjects) == ("before", "expire", "ana", ())
    again = wpp_lake("expire", "--before", BEFORE)
    assert again.stdout == f"expired before {BEFORE}: nothing is left of it\n"
    assert "before 2026-05-22 00:00" in wpp_lake("erase", "ls").stdout


def daily_expiry() -> ScheduleExecutionData:
    """Evaluate the schedule as if it were due now."""
    (schedule,) = (each for each in SCHEDULES if each.name == "daily_expiry")
    with dg.build_schedule_context(scheduled_execution_time=datetime.now(UTC)) as context:
        return schedule.evaluate_tick(context)


def test_the_job_expires_what_is_older_than_the_setting(
    aged: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = defs.resolve_job_def("expire")
    assert daily_expiry().skip_message == "nothing expires: RETENTION_DAYS isn't set"
    assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    assert ErasureList(aged.zone).entries() == []
    monkeypatch.setenv("RETENTION_DAYS", str((today() - BEFORE).days))
    assert len(daily_expiry().run_requests or ()) == 1
    assert job.execute_in_process(instance=instance).success
    assert leftovers(aged) == []
    (entry,) = ErasureList(aged.zone).entries()
    assert (entry.reference, entry.by) == ("RETENTION_DAYS", "the job expire")


def test_a_retention_of_no_day_is_refused(aged: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS", "0")
    with pytest.raises(SettingsError, match="RETENTION_DAYS"):
        LakeSettings.from_environment()
    assert aged.settings.retention_days is None
