"""A landing file that is missing or changed after it was loaded is noted, wherever somebody lists, until it is back."""

import json
import logging
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from command import wpp_lake
from factories import RECEIVED, event, line
from lake import Lake

from pipelines.landing.zone import LandingFile, LandingZone
from pipelines.loading.alarms import Watch, alarms
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import LossError, rebuild
from pipelines.loading.pending import list_everything, pending


def delete(lake: Lake, key: str) -> bytes:
    """Delete a landing file; return its bytes."""
    content: bytes = lake.client.get_object(Bucket=lake.settings.landing_bucket, Key=key)["Body"].read()
    lake.client.delete_object(Bucket=lake.settings.landing_bucket, Key=key)
    return content


def put(lake: Lake, key: str, content: bytes) -> None:
    """Put a landing file, over another one maybe."""
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=content)


def noted(lake: Lake) -> list[tuple[str, str]]:
    """Return the alarms."""
    return [(found.key, found.kind) for found in alarms(lake.connection)]


@pytest.fixture
def keys(lake: Lake) -> list[str]:
    """Land and load five files of one hour and one of the next; return their keys in order."""
    landed = [lake.land(line(event(), number)) for number in range(5)]
    landed.append(lake.land(line(event(), 5, RECEIVED + timedelta(hours=1)), at=RECEIVED + timedelta(hours=1)))
    for hour in (RECEIVED, RECEIVED + timedelta(hours=1)):
        lake.load(hour)
    return sorted(landed)


@pytest.mark.parametrize("place", range(5))
def test_a_load_notes_a_deleted_file_wherever_in_its_hour_it_was(lake: Lake, keys: list[str], place: int) -> None:
    delete(lake, keys[place])
    assert lake.load() == LoadCounts()
    assert noted(lake) == [(keys[place], "missing")]


def test_a_load_of_another_hour_notes_nothing_of_this_one(lake: Lake, keys: list[str]) -> None:
    delete(lake, keys[5])
    lake.load()
    assert noted(lake) == []


def test_a_whole_listing_notes_every_deleted_file(lake: Lake, keys: list[str]) -> None:
    for key in keys:
        delete(lake, key)
    assert list_everything(lake.connection, lake.zone)
    assert noted(lake) == [(key, "missing") for key in keys]


def test_a_file_with_other_bytes_is_noted_and_not_loaded(lake: Lake, keys: list[str]) -> None:
    put(lake, keys[2], line(event(), 77))
    assert lake.load() == LoadCounts()
    assert noted(lake) == [(keys[2], "changed")]


def test_a_file_of_the_same_bytes_under_another_etag_takes_it_over_in_silence(lake: Lake, keys: list[str]) -> None:
    etags = f"select etag from landing_files where key <> '{keys[5]}' order by key"  # noqa: S608  a key of ours
    before = lake.rows(etags)
    lake.connection.execute("update landing_files set etag = 'another'")
    lake.load()
    assert (noted(lake), lake.rows(etags)) == ([], before)


def test_a_changed_file_is_fetched_once(lake: Lake, keys: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake, keys[2], line(event(), 77))
    lake.load()
    fetched: list[LandingFile] = []
    fetch = LandingZone.fetch

    def counting(zone: LandingZone, files: Any) -> Any:
        listed = list(files)
        fetched.extend(listed)
        return fetch(zone, listed)

    monkeypatch.setattr(LandingZone, "fetch", counting)
    lake.load()
    assert (fetched, noted(lake)) == ([], [(keys[2], "changed")])


def test_an_alarm_ends_when_the_file_is_back(lake: Lake, keys: list[str]) -> None:
    missing, original = delete(lake, keys[0]), delete(lake, keys[1])
    put(lake, keys[1], line(event(), 77))
    lake.load()
    assert noted(lake) == [(keys[0], "missing"), (keys[1], "changed")]
    put(lake, keys[0], missing)
    put(lake, keys[1], original)
    lake.load()
    assert noted(lake) == []


def test_a_changed_file_that_is_deleted_is_missing(lake: Lake, keys: list[str]) -> None:
    put(lake, keys[1], line(event(), 77))
    lake.load()
    delete(lake, keys[1])
    lake.load()
    assert noted(lake) == [(keys[1], "missing")]


def test_a_file_landed_and_loaded_while_somebody_lists_is_not_missing(lake: Lake, keys: list[str]) -> None:
    """The listing began before it was there; the ledger has it when the listing is compared."""
    watch = Watch(lake.connection, lake.zone, RECEIVED)
    listed = list(lake.zone.files(RECEIVED))
    lake.land(line(event(), 8))
    with psycopg.connect(lake.settings.conninfo, autocommit=True) as other:
        assert len(list(pending(other, lake.zone, RECEIVED))) == 1
    lake.load()
    for page in listed:
        watch.compare(page)
    watch.end()
    assert noted(lake) == []
    assert len(keys) == 6


def test_a_store_that_lists_in_another_order_has_nothing_called_missing(lake: Lake, keys: list[str]) -> None:
    watch = Watch(lake.connection, lake.zone, RECEIVED)
    [page] = [page for page in lake.zone.files(RECEIVED) if page]
    watch.compare([file for file in reversed(page) if file.key != keys[2]])
    watch.end()
    assert noted(lake) == []


def test_many_alarms_are_one_line_of_the_log(lake: Lake, keys: list[str], caplog: pytest.LogCaptureFixture) -> None:
    for key in keys[:3]:
        delete(lake, key)
    put(lake, keys[3], line(event(), 77))
    with caplog.at_level(logging.ERROR):
        lake.load()
    told = [found.getMessage() for found in caplog.records if found.levelno >= logging.ERROR]
    assert [message for message in told if "landing files" in message] == [
        "landing files that were loaded: 3 are missing, 1 were changed: `wpp-lake status` names them"
    ]


@pytest.mark.usefixtures("dagster_home")
def test_a_status_check_exits_with_1_while_there_is_an_alarm_and_lists_nothing(lake: Lake, keys: list[str]) -> None:
    whole = wpp_lake("status", "--check")
    content = delete(lake, keys[0])
    unlisted = wpp_lake("status", "--check")
    lake.load()
    alarmed = wpp_lake("status", "--check", "--json")
    put(lake, keys[0], content)
    lake.load()
    assert [done.returncode for done in (whole, unlisted, alarmed, wpp_lake("status", "--check"))] == [0, 0, 1, 0]
    assert json.loads(alarmed.stdout)["missing_files"] == [keys[0]]
    assert keys[0] in alarmed.stderr


def test_a_status_names_what_is_missing_now(lake: Lake, keys: list[str]) -> None:
    delete(lake, keys[5])
    assert json.loads(wpp_lake("status", "--json").stdout)["missing_files"] == [keys[5]]


def test_a_rebuild_refuses_while_a_file_is_missing_and_changes_nothing(lake: Lake, keys: list[str]) -> None:
    before = lake.content()
    delete(lake, keys[5])
    with pytest.raises(LossError, match="1 are missing"):
        rebuild(lake.connection, lake.zone, "rebuild")
    assert lake.content() == before


def test_a_rebuild_refuses_while_a_file_is_changed(lake: Lake, keys: list[str]) -> None:
    put(lake, keys[0], line(event(), 77))
    with pytest.raises(LossError, match="1 were changed"):
        rebuild(lake.connection, lake.zone, "rebuild")
    assert lake.rows("select count(*) from whatsapp_events") == [(6,)]


def test_a_rebuild_refuses_to_end_with_fewer_events(lake: Lake, keys: list[str]) -> None:
    """An event that no landing file accounts for would be gone."""
    lake.connection.execute("""
        insert into whatsapp_events (event_id, type, received_at, last_received_at, body_received_at, deliveries,
                                     payload, payload_sanitized, undecrypted, body_sha256, landing_key, landing_line)
        select gen_random_uuid(), type, received_at, last_received_at, body_received_at, deliveries,
               payload, payload_sanitized, undecrypted, body_sha256, landing_key, landing_line
        from whatsapp_events limit 1""")
    with pytest.raises(LossError, match="1 lines"):
        rebuild(lake.connection, lake.zone, "rebuild")
    assert lake.rows("select count(*) from whatsapp_events") == [(7,)]
    assert len(keys) == 6


@pytest.mark.usefixtures("dagster_home")
def test_an_accepted_loss_is_recorded_and_outlives_rebuilds(lake: Lake, keys: list[str]) -> None:
    [(sha256,)] = lake.rows(f"select sha256 from landing_files where key = '{keys[0]}'")  # noqa: S608  a key of ours
    delete(lake, keys[0])
    refused = wpp_lake("rebuild")
    unexplained = wpp_lake("rebuild", "--accept-loss")
    accepted = wpp_lake("rebuild", "--accept-loss", "--reason", "the disk died", "--by", "ana")
    again = wpp_lake("rebuild")
    assert [done.returncode for done in (refused, unexplained, accepted, again)] == [1, 1, 0, 0]
    assert lake.rows("select key, lines, sha256, accepted_by, reason from landing_losses") == [
        (keys[0], 1, sha256, "ana", "the disk died")
    ]
    assert (noted(lake), lake.rows("select count(*) from whatsapp_events")) == ([], [(5,)])
