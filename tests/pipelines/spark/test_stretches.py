"""What a task of Spark reads and gives, without Spark: stretches of a real landing zone, and their rows."""

import json
import pickle
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from erasing import LID, PHONE, erase, landed
from factories import RECEIVED, event, event_id, line, message, participant
from lake import Lake

from pipelines.privacy.expiry import expire
from pipelines.redaction.erasures import ErasureList
from pipelines.spark.shown import SHOWN, shown
from pipelines.spark.stretches import ErasedMeanwhileError, Stretch, check, read, stretches


def rows(lake: Lake, kind: str, erasures: datetime | None = None) -> list[dict[str, object]]:
    """Return the rows of a kind that the tasks of a whole zone give."""
    tables = [pa.Table.from_batches(shown(read(each, erasures)), SHOWN) for each in stretches(lake.zone)]
    return [row for table in tables for row in table.to_pylist() if row["shows"] == kind]


def test_each_landing_file_is_in_one_stretch_in_the_order_of_the_keys(lake: Lake) -> None:
    keys = [lake.land(line(event(), number), at=RECEIVED + timedelta(hours=number)) for number in range(5)]
    found = list(stretches(lake.zone, most_bytes=1))
    assert [[file.key for file in each.files] for each in found] == [[key] for key in keys]


def test_a_stretch_has_as_many_files_as_its_bytes_allow(lake: Lake) -> None:
    for number in range(4):
        lake.land(line(event(), number), at=RECEIVED + timedelta(hours=number))
    size = next(lake.zone.files())[0].size
    assert [len(each.files) for each in stretches(lake.zone, most_bytes=3 * size)] == [3, 1]


def test_a_stretch_is_sent_to_a_task_without_any_line(lake: Lake) -> None:
    lake.land(*(line(event(), number) for number in range(200)))
    [found] = stretches(lake.zone)
    assert pickle.loads(pickle.dumps(found)) == found  # noqa: S301  its own
    assert len(pickle.dumps(found)) < 1000


def test_a_task_asks_no_database(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.land(line(event()))
    monkeypatch.delenv("DATABASE_URL")
    assert [row["event_id"] for row in rows(lake, "line")] == [event_id()]


def test_a_lines_row_has_what_the_loader_would_store(lake: Lake) -> None:
    key = lake.land(line(event(message(participant()))))
    lake.load()
    [row] = rows(lake, "line")
    stored = lake.rows(
        "select type, chat_jid, participant_jid, occurred_at, received_at, undecrypted, body_sha256, landing_key,"
        " landing_line, payload from whatsapp_events"
    )
    names = ("type", "chat_jid", "participant_jid", "occurred_at", "received_at", "undecrypted", "body_sha256",
             "landing_key", "landing_line")  # fmt: skip
    assert [(*(row[name] for name in names), json.loads(str(row["payload"])))] == stored
    assert row["landing_key"] == key


def test_what_a_line_shows_of_people_and_groups_are_rows_of_their_own(lake: Lake) -> None:
    lake.land(line(event(message(participant(), pushName="Ana"))))
    assert {row["jid"]: row["name"] for row in rows(lake, "address")} == dict.fromkeys(participant().jids, "Ana")
    assert [(row["lid_jid"], row["phone_jid"]) for row in rows(lake, "pair")] == [participant().jids]
    assert [row["jid"] for row in rows(lake, "group")] == ["120363000000000001@g.us"]


def test_a_line_that_nobody_signed_is_put_aside_and_shows_nothing(lake: Lake) -> None:
    lake.land(line(event(), "good"), line(event()).replace(b'"signature":"', b'"signature":"0'))
    assert [row["reason"] for row in rows(lake, "aside")] == ["not_authentic"]
    assert [row["event_id"] for row in rows(lake, "line")] == [event_id("good")]


def test_numbers_that_postgres_would_be_asked_about_are_doubtful(lake: Lake) -> None:
    lake.land(line(b'{"type":"odd","payload":1e-20000}', "odd"), line(event(), "usual"))
    assert {row["event_id"]: row["doubtful"] for row in rows(lake, "line")} == {
        event_id("odd"): True,
        event_id("usual"): False,
    }


def test_who_was_erased_is_in_no_row_though_the_landing_file_has_them(
    filled: Lake, sample: list[dict[str, object]]
) -> None:
    done = erase(filled, f"{PHONE}@s.whatsapp.net")
    filled.land(*map(landed, sample))  # delivered again: no sweep has rewritten this file
    assert done.erasure is not None
    text = str([rows(filled, kind, done.erasure.at) for kind in ("line", "address", "pair", "group")])
    assert ("100000000001" in text, PHONE in text, LID in text) == (True, False, False)


def test_another_list_of_erasures_than_the_jobs_stops_a_task(filled: Lake) -> None:
    [before] = stretches(filled.zone)
    erase(filled, f"{PHONE}@s.whatsapp.net")
    with pytest.raises(ErasedMeanwhileError):
        read(before, None)
    with pytest.raises(ErasedMeanwhileError):
        check(None)
    check(ErasureList(filled.zone).listed().revision)


def test_a_stretch_without_files_shows_nothing(lake: Lake) -> None:
    assert lake.zone is not None
    assert sum(len(each) for each in shown(read(Stretch(()), None))) == 0


def test_what_has_expired_is_in_no_stretch(lake: Lake) -> None:
    old, new = RECEIVED, datetime(2026, 6, 1, tzinfo=UTC)
    lake.land(line(event(), "old", old), at=old)
    kept = lake.land(line(event(), "new", new), at=new)
    for hour in (old, new):
        lake.load(hour)
    expire(lake.settings, lake.connection, new.date(), "T-1", "me")
    assert [file.key for each in stretches(lake.zone) for file in each.files] == [kept]
