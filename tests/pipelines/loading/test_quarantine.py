"""The quarantine's verbs: what could not be loaded comes back, and nothing is counted twice."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import psycopg
import pytest
from command import wpp_lake
from factories import RECEIVED, event, line, message, participant
from lake import Lake
from refusals import EVERY_LINE, refusing

from pipelines.cli import status
from pipelines.loading.alarms import alarms
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import rebuild
from pipelines.loading.quarantine import NoSuchEntryError, discard, entries, entry, retry

BAD = b"not json\n"
LEDGER = "select lines, loaded, duplicates, quarantined from landing_files order by key"


@pytest.fixture
def put_aside(lake: Lake) -> Lake:
    """Return a lake all of whose lines were put aside, most of them by a defect that is mended by now."""
    lake.land(line(event(), 1), line(event(), 2), line(event(), 1), BAD)
    lake.land(line(event(message(participant(2))), 3))
    with refusing(lake, lines=EVERY_LINE):
        lake.load()
    return lake


def test_a_retry_loads_what_can_be_loaded_by_now(put_aside: Lake) -> None:
    became = retry(put_aside.connection, put_aside.zone, entries(put_aside.connection))
    assert became == {"loaded": 4, "open": 1}
    assert put_aside.rows("select count(*), sum(deliveries)::int from whatsapp_events") == [(3, 4)]


def test_after_a_retry_the_tables_are_as_if_nothing_had_been_put_aside(put_aside: Lake) -> None:
    retry(put_aside.connection, put_aside.zone, entries(put_aside.connection))
    retried = put_aside.content()
    rebuild(put_aside.connection, put_aside.zone, "rebuild")
    assert put_aside.content() == retried
    assert len(retried["events"]) == 3


def test_a_retry_corrects_the_ledger(put_aside: Lake) -> None:
    before = put_aside.rows(LEDGER)
    retry(put_aside.connection, put_aside.zone, entries(put_aside.connection))
    assert (before, put_aside.rows(LEDGER)) == ([(4, 0, 0, 4), (1, 0, 0, 1)], [(4, 2, 1, 1), (1, 1, 0, 0)])


def test_a_retry_marks_the_day_as_changed(put_aside: Lake) -> None:
    retry(put_aside.connection, put_aside.zone, entries(put_aside.connection))
    assert put_aside.rows("select received_on from event_days") == [(RECEIVED.date(),)]


def test_what_fails_again_stays_open_and_counts_its_attempts(put_aside: Lake) -> None:
    retry(put_aside.connection, put_aside.zone, entries(put_aside.connection))
    [left] = entries(put_aside.connection)
    assert (left["attempts"], left["reason"], left["line_number"]) == (2, "bad_line", 4)


def test_a_second_retry_changes_nothing_that_is_loaded(put_aside: Lake) -> None:
    tried = entries(put_aside.connection)
    retry(put_aside.connection, put_aside.zone, tried)
    assert retry(put_aside.connection, put_aside.zone, tried) == {"open": 1}
    assert put_aside.rows("select sum(deliveries)::int from whatsapp_events") == [(4,)]


def test_two_retries_at_once_load_every_line_once(put_aside: Lake) -> None:
    tried = entries(put_aside.connection)

    def retry_all(_: int) -> int:
        with psycopg.connect(put_aside.settings.conninfo, autocommit=True) as conn:
            return retry(conn, put_aside.zone, tried)["loaded"]

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(retry_all, range(2))) == 4
    assert put_aside.rows("select sum(deliveries)::int from whatsapp_events") == [(4,)]


def test_discarded_entries_are_kept_with_who_and_why_and_not_tried_again(put_aside: Lake) -> None:
    tried = entries(put_aside.connection)
    assert discard(put_aside.connection, [each["id"] for each in tried], "ana", "a test") == 5
    assert discard(put_aside.connection, [each["id"] for each in tried], "bia", "again") == 0
    assert retry(put_aside.connection, put_aside.zone, tried) == {}
    assert {(each["resolved_by"], each["resolved_reason"]) for each in entries(put_aside.connection, "discarded")} == {
        ("ana", "a test")
    }


def test_an_entry_is_shown_with_its_bytes(lake: Lake) -> None:
    lake.land(BAD)
    lake.load()
    [listed] = entries(lake.connection)
    assert (entry(lake.connection, listed["id"])["raw"], "raw" in listed) == (b"not json", False)
    with pytest.raises(NoSuchEntryError):
        entry(lake.connection, UUID(int=0))


def test_ten_thousand_bad_lines_leave_the_good_one(lake: Lake) -> None:
    lake.land(BAD * 10_000, line(event(), 1))
    assert lake.load() == LoadCounts(files=1, lines=10_001, loaded=1, quarantined=10_000)


def test_a_changed_file_is_an_alarm_and_not_loaded_again(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    key = lake.land(line(event(), 1))
    lake.load()
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 2))
    with caplog.at_level(logging.ERROR):
        assert lake.load() == LoadCounts()
    ours = [record for record in caplog.records if record.name.startswith("pipelines.")]
    told = [record.getMessage() for record in ours if record.levelno >= logging.ERROR]
    assert [message for message in told if "1 were changed" in message] == told != []
    assert [alarm.key for alarm in alarms(lake.connection)] == [key]
    assert lake.rows("select count(*) from whatsapp_events") == [(1,)]


def test_the_verbs(lake: Lake) -> None:
    lake.land(BAD, b"neither\n", line(event(), 1))
    lake.load()
    listed = json.loads(wpp_lake("quarantine", "ls", "--json").stdout)
    assert [(each["line_number"], each["reason"], each["state"]) for each in listed] == [
        (1, "bad_line", "open"),
        (2, "bad_line", "open"),
    ]
    assert "not json" in wpp_lake("quarantine", "show", listed[0]["id"]).stdout
    assert wpp_lake("quarantine", "retry").stdout == "0 loaded, 2 still open, 0 files to load anew\n"
    discarded = wpp_lake("quarantine", "discard", listed[0]["id"], "--reason", "a test", "--by", "ana")
    assert (discarded.returncode, discarded.stdout) == (0, "1 discarded\n")
    again = wpp_lake("quarantine", "discard", listed[0]["id"], "--reason", "a test")
    assert (again.returncode, again.stderr.count("\n")) == (1, 1)
    tried = wpp_lake("quarantine", "retry", listed[0]["id"])
    assert (tried.returncode, tried.stderr.count("\n")) == (1, 1)
    assert wpp_lake("quarantine", "ls").stdout.count("\n") == 1
    assert wpp_lake("quarantine", "ls", "--state", "all").stdout.count("\n") == 2
    assert wpp_lake("rebuild").stdout == "1 files, 3 lines: 1 loaded, 0 duplicates, 2 quarantined\n"


def test_a_list_without_content_says_nothing_private(lake: Lake) -> None:
    lake.land(b'{"event_id":"5500900000001"}\n')
    lake.load()
    assert "5500900000001" not in wpp_lake("quarantine", "ls", "--json").stdout


def test_the_counts_of_the_status_add_up_after_a_retry(put_aside: Lake) -> None:
    retry(put_aside.connection, put_aside.zone, entries(put_aside.connection))
    counts = status.collect(put_aside.settings)["counts"]
    assert (counts["landed_events"], counts["loaded_events"], counts["quarantined"]) == (5, 4, 1)


def test_the_status_names_changed_files(lake: Lake) -> None:
    key = lake.land(line(event(), 1))
    lake.load()
    assert status.collect(lake.settings)["changed_files"] == []
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 2))
    found = status.collect(lake.settings)
    assert (found["changed_files"], found["errors"], found["counts"]["landed_files"]) == ([key], [], 1)
