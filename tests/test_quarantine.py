"""The quarantine's verbs and the rebuild: what could not be loaded comes back, and nothing is counted twice."""

import gzip
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import obstore
import psycopg
import pytest
from factories import RECEIVED, event, line, message, participant
from fault_proxy import answers, fault_proxy, passes
from lake import Lake
from test_cli import wpp_lake
from test_loading_crash import land

from pipelines import batches, loading, status
from pipelines.batches import Batch, LandedRow
from pipelines.landing_zone import LandingZone
from pipelines.lines import Row, UnloadableError, read_line
from pipelines.loading import LoadCounts, load, rebuild
from pipelines.quarantine import NoSuchEntryError, discard, entries, entry, retry
from pipelines.queries import Connection
from pipelines.settings import LakeSettings

if TYPE_CHECKING:
    from conftest import S3

ROOT = Path(__file__).parent.parent
BAD = b"not json\n"
LEDGER = "select lines, loaded, duplicates, quarantined from landing_files order by key"
STATES = "select state, count(*) from quarantined_events group by state order by state"


def unable_to_read(_: bytes) -> Row:
    """Be a loader that an unforeseen defect keeps from reading anything."""
    raise UnloadableError("bad_line", "a defect")


@pytest.fixture
def put_aside(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Return a lake all of whose lines were put aside by a defect that is mended by now."""
    lake.land(line(event(), 1), line(event(), 2), line(event(), 1), BAD)
    lake.land(line(event(message(participant(2))), 3))
    monkeypatch.setattr(batches, "read_line", unable_to_read)
    lake.load()
    monkeypatch.setattr(batches, "read_line", read_line)
    return lake


def test_a_retry_loads_what_can_be_loaded_by_now(put_aside: Lake) -> None:
    became = retry(put_aside.connection, entries(put_aside.connection))
    assert became == {"loaded": 4, "open": 1}
    assert put_aside.rows("select count(*), sum(deliveries)::int from whatsapp_events") == [(3, 4)]


def test_after_a_retry_the_tables_are_as_if_nothing_had_been_put_aside(put_aside: Lake) -> None:
    retry(put_aside.connection, entries(put_aside.connection))
    retried = put_aside.content()
    rebuild(put_aside.connection, put_aside.zone, "rebuild")
    assert put_aside.content() == retried
    assert len(retried["events"]) == 3


def test_a_retry_corrects_the_ledger(put_aside: Lake) -> None:
    before = put_aside.rows(LEDGER)
    retry(put_aside.connection, entries(put_aside.connection))
    assert (before, put_aside.rows(LEDGER)) == ([(4, 0, 0, 4), (1, 0, 0, 1)], [(4, 2, 1, 1), (1, 1, 0, 0)])


def test_a_retry_marks_the_day_as_changed(put_aside: Lake) -> None:
    retry(put_aside.connection, entries(put_aside.connection))
    assert put_aside.rows("select received_on from event_days") == [(RECEIVED.date(),)]


def test_what_fails_again_stays_open_and_counts_its_attempts(put_aside: Lake) -> None:
    retry(put_aside.connection, entries(put_aside.connection))
    [left] = entries(put_aside.connection)
    assert (left["attempts"], left["reason"], left["line_number"]) == (2, "bad_line", 4)


def test_a_second_retry_changes_nothing_that_is_loaded(put_aside: Lake) -> None:
    tried = entries(put_aside.connection)
    retry(put_aside.connection, tried)
    assert retry(put_aside.connection, tried) == {"open": 1}
    assert put_aside.rows("select sum(deliveries)::int from whatsapp_events") == [(4,)]


def test_two_retries_at_once_load_every_line_once(put_aside: Lake) -> None:
    tried = entries(put_aside.connection)

    def retry_all(_: int) -> int:
        with psycopg.connect(put_aside.settings.conninfo, autocommit=True) as conn:
            return retry(conn, tried)["loaded"]

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(retry_all, range(2))) == 4
    assert put_aside.rows("select sum(deliveries)::int from whatsapp_events") == [(4,)]


def test_what_postgres_refuses_is_tried_again_beside_others(lake: Lake) -> None:
    refused = line(b'{"type":"x","payload":1e400000}', 1)
    lake.land(refused, line(event(), 2))
    lake.load()
    assert retry(lake.connection, entries(lake.connection)) == {"open": 1}
    assert entries(lake.connection)[0]["reason"] == "refused_by_postgres"


def test_discarded_entries_are_kept_with_who_and_why_and_not_tried_again(put_aside: Lake) -> None:
    tried = entries(put_aside.connection)
    assert discard(put_aside.connection, [each["id"] for each in tried], "ana", "a test") == 5
    assert discard(put_aside.connection, [each["id"] for each in tried], "bia", "again") == 0
    assert retry(put_aside.connection, tried) == {}
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


def test_an_unreadable_file_is_put_aside_as_one(lake: Lake) -> None:
    key = lake.land(gzip.compress(line(event(), 1) * 200))
    lake.land(line(event(), 2))
    assert lake.load() == LoadCounts(files=2, lines=2, loaded=1, quarantined=1)
    assert [(each["landing_key"], each["line_number"], each["reason"]) for each in entries(lake.connection)] == [
        (key, 0, "unreadable_file")
    ]


def test_an_unreadable_file_that_was_put_right_is_loaded_after_a_retry(lake: Lake) -> None:
    key = lake.land(gzip.compress(line(event(), 1)))
    lake.load()
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 1))
    assert retry(lake.connection, entries(lake.connection)) == {"pending": 1}
    assert lake.load() == LoadCounts(files=1, lines=1, loaded=1)
    assert lake.rows(STATES) == [("loaded", 1)]


def test_an_unreadable_file_that_was_not_put_right_is_open_again(lake: Lake) -> None:
    lake.land(gzip.compress(line(event(), 1)))
    lake.load()
    retry(lake.connection, entries(lake.connection))
    lake.load()
    assert [each["attempts"] for each in entries(lake.connection)] == [2]


def test_ten_thousand_bad_lines_leave_the_good_one(lake: Lake) -> None:
    lake.land(BAD * 10_000, line(event(), 1))
    assert lake.load() == LoadCounts(files=1, lines=10_001, loaded=1, quarantined=10_000)


def test_a_changed_file_is_an_alarm_and_not_loaded_again(lake: Lake, caplog: pytest.LogCaptureFixture) -> None:
    key = lake.land(line(event(), 1))
    lake.load()
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 2))
    with caplog.at_level(logging.ERROR):
        assert lake.load() == LoadCounts()
    assert [key in record.getMessage() for record in caplog.records] == [True, True]
    assert lake.rows("select count(*) from whatsapp_events") == [(1,)]


def test_a_rebuild_gives_the_same_content(lake: Lake, sample: list[dict[str, Any]]) -> None:
    land(lake, sample)
    lake.load()
    before = lake.content()
    assert rebuild(lake.connection, lake.zone, "rebuild") == LoadCounts(files=30, lines=300, loaded=294, duplicates=6)
    assert lake.content() == before


def test_a_rebuild_makes_every_day_new_to_the_snapshots(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.load()
    before = lake.rows("select revision from event_days")
    rebuild(lake.connection, lake.zone, "rebuild")
    assert lake.rows("select revision from event_days") != before


def test_a_rebuild_keeps_what_was_discarded_and_opens_the_rest_anew(lake: Lake) -> None:
    lake.land(BAD, b"neither\n", line(event(), 1))
    lake.load()
    discard(lake.connection, [entries(lake.connection)[0]["id"]], "ana", "a test")
    rebuild(lake.connection, lake.zone, "rebuild")
    assert lake.rows("select state, resolved_by from quarantined_events order by line_number") == [
        ("discarded", "ana"),
        ("open", None),
    ]


def test_a_load_beside_a_rebuild_loses_and_repeats_nothing(lake: Lake, sample: list[dict[str, Any]]) -> None:
    land(lake, sample)
    lake.load()
    lake.land(line(event(), "new"))

    def load_beside(_: int) -> None:
        with psycopg.connect(lake.settings.conninfo, autocommit=True) as conn:
            load(conn, lake.zone, [RECEIVED], "beside")

    with ThreadPoolExecutor(2) as pool:
        beside = pool.map(load_beside, range(2))
        rebuild(lake.connection, lake.zone, "rebuild")
        list(beside)
    assert lake.rows("select count(*), sum(deliveries)::int from whatsapp_events") == [(295, 301)]
    assert lake.rows("select count(*), sum(lines)::int from landing_files") == [(31, 301)]


REBUILD = """
import logging, sys, psycopg
from pipelines import landing_zone
from pipelines.loading import rebuild
from pipelines.settings import LakeSettings
landing_zone.BATCH_FILES = 1
logging.basicConfig(level=logging.INFO, stream=sys.stdout)
settings = LakeSettings.from_environment()
with psycopg.connect(settings.conninfo, autocommit=True) as conn:
    rebuild(conn, landing_zone.LandingZone(settings), "run")
"""


def test_a_killed_rebuild_leaves_the_tables_as_they_were(lake: Lake, sample: list[dict[str, Any]]) -> None:
    land(lake, sample)
    lake.load()
    before = lake.content(), lake.rows(LEDGER)
    with subprocess.Popen([sys.executable, "-c", REBUILD], cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        for _ in range(10):
            assert process.stdout.readline()
        process.kill()
    assert (lake.content(), lake.rows(LEDGER)) == before
    lake.land(line(event(), "new"))
    assert lake.load().loaded == 1


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
    assert wpp_lake("quarantine", "ls").stdout.count("\n") == 1
    assert wpp_lake("quarantine", "ls", "--state", "all").stdout.count("\n") == 2
    assert wpp_lake("rebuild").stdout == "1 files, 3 lines: 1 loaded, 0 duplicates, 2 quarantined\n"


def test_a_list_without_content_says_nothing_private(lake: Lake) -> None:
    lake.land(b'{"event_id":"5500900000001"}\n')
    lake.load()
    assert "5500900000001" not in wpp_lake("quarantine", "ls", "--json").stdout


@contextmanager
def refusing(lake: Lake, sqlstate: str) -> Iterator[None]:
    """Let Postgres answer with this SQLSTATE to every line of the type `refused`."""
    lake.connection.execute(
        f"""create function refuse() returns trigger language plpgsql as
            $$ begin raise exception 'can''t store it' using errcode = '{sqlstate}'; end $$;
            create trigger refuse before insert on whatsapp_events for each row
            when (new.type = 'refused') execute function refuse();""".encode()
    )
    yield
    lake.connection.execute("drop trigger refuse on whatsapp_events")


@pytest.mark.parametrize("sqlstate", ["22003", "54000", "54001", "XX000"])
def test_what_postgres_refused_loads_once_it_takes_it(lake: Lake, sqlstate: str) -> None:
    with refusing(lake, sqlstate):
        lake.land(line(event(), 1), line(event(kind="refused"), 2), line(event(), 3))
        assert lake.load() == LoadCounts(files=1, lines=3, loaded=2, quarantined=1)
        [refused] = entries(lake.connection)
        assert (refused["reason"], refused["detail"]) == ("refused_by_postgres", f"{sqlstate} can't store it")
        assert retry(lake.connection, [refused]) == {"open": 1}
    assert retry(lake.connection, [refused]) == {"loaded": 1}
    assert lake.rows(LEDGER) == [(3, 3, 0, 0)]
    assert lake.rows("select sum(deliveries)::int from whatsapp_events") == [(3,)]


def test_thousands_of_refused_lines_are_found_at_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ask = loading._ask  # noqa: SLF001  to count the questions

    def counted(conn: Connection, lines: Sequence[LandedRow]) -> dict[LandedRow, str]:
        asked.append(len(lines))
        return ask(conn, lines)

    monkeypatch.setattr(loading, "_ask", counted)
    refused = b'{"type":"x","payload":1e400000}'
    lake.land(*[line(refused if number % 2 else event(), number) for number in range(4000)])
    assert lake.load() == LoadCounts(files=1, lines=4000, loaded=2000, quarantined=2000)
    assert asked == [2000]


@pytest.mark.parametrize(
    "content",
    [gzip.compress(line(event()) * 50), os.urandom(1_000_000), line(event()).decode().encode("utf-16-le")],
    ids=["gzip", "large", "utf-16"],
)
def test_whatever_is_not_text_is_one_entry(lake: Lake, content: bytes) -> None:
    lake.land(content)
    lake.land(line(event()))
    assert lake.load() == LoadCounts(files=2, lines=2, loaded=1, quarantined=1)
    assert [(each["reason"], each["line_number"]) for each in entries(lake.connection)] == [("unreadable_file", 0)]


def test_one_landed_line_makes_a_file_one_of_lines(lake: Lake) -> None:
    lake.land(b"\xff\0\n", line(event()), b"\xff\n")
    assert lake.load() == LoadCounts(files=1, lines=3, loaded=1, quarantined=2)


def test_a_file_that_the_store_refuses_is_put_aside_and_a_store_that_is_down_is_not(
    lake: Lake, s3: "S3", monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.land(line(event()))
    [[file]] = lake.zone.files()
    with fault_proxy(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        zone = LandingZone(LakeSettings.from_environment())
        proxy.always(answers(403))
        with pytest.raises(obstore.exceptions.PermissionDeniedError):
            list(zone.fetch([file]))
        proxy.first(answers(403))
        assert [each.fault for [each] in zone.fetch([file])] == [None]
        proxy.first(answers(403), passes, answers(403))
        [[fetched]] = zone.fetch([file])
    batch = Batch.read([fetched])
    assert [(fault["reason"], fault["line_number"], fault["raw"]) for fault in batch.unloadable] == [
        ("unreadable_file", 0, b"")
    ]
    assert batch.lines == {file.key: 1}


@pytest.mark.slow
def test_a_file_that_is_corrupt_in_the_store_stops_no_load(lake: Lake, s3: "S3") -> None:
    """The real thing: a bit flips on the store's disk, so that it refuses the object, also when asked again."""
    incompressible = os.urandom(2000)
    key = lake.land(incompressible)
    lake.land(line(event()))
    [volume] = [path for path in s3.folder.glob("**/*.dat") if incompressible in path.read_bytes()]
    with volume.open("r+b") as file:
        file.seek(volume.read_bytes().index(incompressible))
        file.write(bytes([incompressible[0] ^ 1]))
    assert lake.load() == LoadCounts(files=2, lines=2, loaded=1, quarantined=1)
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 2))
    retry(lake.connection, entries(lake.connection))
    assert lake.load() == LoadCounts(files=1, lines=1, loaded=1)


def test_what_was_discarded_stays_out_of_rebuilt_tables(lake: Lake) -> None:
    """Even where the loader of today would take it: a decision isn't undone by a rebuild."""
    with refusing(lake, "22003"):
        key = lake.land(line(event(), 1), line(event({}, kind="refused", chat=None), 2), BAD)
        lake.load()
    whole = lake.land(gzip.compress(b"a"))
    lake.load()
    discarded = [each["id"] for each in entries(lake.connection) if each["line_number"] != 3]
    discard(lake.connection, discarded, "ana", "why")
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=whole, Body=line(event(), 4) + line(event(), 5))
    before = lake.content(), lake.rows(LEDGER)
    assert rebuild(lake.connection, lake.zone, "rebuild") == LoadCounts(files=2, lines=4, loaded=1, quarantined=3)
    assert (lake.content(), lake.rows(LEDGER)) == before
    found = [(each["landing_key"], each["line_number"], each["state"]) for each in entries(lake.connection, None)]
    assert sorted(found) == sorted([(key, 2, "discarded"), (key, 3, "open"), (whole, 0, "discarded")])


def test_the_counts_of_the_status_add_up_after_a_retry(put_aside: Lake) -> None:
    retry(put_aside.connection, entries(put_aside.connection))
    counts = status.collect(put_aside.settings)["counts"]
    assert (counts["landed_events"], counts["loaded_events"], counts["quarantined"]) == (5, 4, 1)


def test_the_status_names_changed_files(lake: Lake) -> None:
    key = lake.land(line(event(), 1))
    lake.load()
    assert status.collect(lake.settings)["changed_files"] == []
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=line(event(), 2))
    found = status.collect(lake.settings)
    assert (found["changed_files"], found["errors"], found["counts"]["landed_files"]) == ([key], [], 1)
