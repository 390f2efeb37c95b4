"""Landing files to rows: every line exactly once, whatever its neighbours are."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from factories import RECEIVED, event, event_id, group, line, message, participant, sign
from lake import Lake

from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import load
from receiver.landing import encode_line

BAD = b"not json\n"
REFUSED = line(b'{"type":"x","payload":1e400000}', "refused")


def later(seconds: float) -> Any:
    """Return a time of receipt after the first."""
    return RECEIVED + timedelta(seconds=seconds)


def test_a_load_says_what_it_did(lake: Lake) -> None:
    lake.land(line(event(), 1), line(event(), 2), line(event(), 1), BAD)
    assert lake.load() == LoadCounts(files=1, lines=4, loaded=2, duplicates=1, quarantined=1)


def test_a_known_file_is_not_loaded_again(lake: Lake) -> None:
    lake.land(line(event()))
    lake.load()
    assert lake.load() == LoadCounts()
    assert lake.rows("select deliveries from whatsapp_events") == [(1,)]


def test_an_hour_named_twice_is_loaded_once(lake: Lake) -> None:
    lake.land(line(event()))
    assert load(lake.connection, lake.zone, [RECEIVED, RECEIVED], "run") == LoadCounts(files=1, lines=1, loaded=1)


def test_the_same_line_in_another_file_is_a_further_delivery(lake: Lake) -> None:
    lake.land(line(event()))
    lake.land(line(event(), received_at=later(5)))
    lake.load()
    assert lake.rows("select received_at, last_received_at, deliveries from whatsapp_events") == [
        (RECEIVED, later(5), 2)
    ]


def test_the_ledger_accounts_for_every_line(lake: Lake) -> None:
    key = lake.land(line(event(), 1), BAD, REFUSED, line(event(), 1))
    lake.load()
    assert lake.rows("select key, lines, loaded, duplicates, quarantined, run_id from landing_files") == [
        (key, 4, 1, 1, 2, "test-run")
    ]


def test_bad_lines_are_put_aside_and_the_rest_loads(lake: Lake) -> None:
    key = lake.land(line(event(), 1), BAD, REFUSED, b"\xff\n", line(event(), 2))
    lake.load()
    assert lake.rows("select landing_key, line_number, reason, state from quarantined_events order by line_number") == [
        (key, 2, "bad_line", "open"),
        (key, 3, "refused_by_postgres", "open"),
        (key, 4, "bad_line", "open"),
    ]
    assert lake.rows("select raw from quarantined_events order by line_number")[2] == (b"\xff",)
    assert lake.rows("select count(*) from whatsapp_events") == [(2,)]


@pytest.mark.parametrize(
    ("number", "sqlstate"), [(b"1e400000", "22003"), (b"-1e400000", "22003"), (b"9" * 140_000, "22003")]
)
def test_what_jsonb_refuses_is_put_aside(lake: Lake, number: bytes, sqlstate: str) -> None:
    lake.land(line(b'{"type":"x","payload":' + number + b"}"), line(event(), 2))
    assert lake.load() == LoadCounts(files=1, lines=2, loaded=1, quarantined=1)
    assert lake.rows("select left(detail, 5) from quarantined_events") == [(sqlstate,)]


def test_an_empty_file_and_foreign_objects_are_no_trouble(lake: Lake) -> None:
    lake.land()
    for key in ("readme.txt", "date=2026-02-30/hour=04/x.jsonl", "date=2026-05-21/hour=24/x.jsonl"):
        lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=f"whatsapp/{key}", Body=b"not a landing file")
    assert lake.load() == LoadCounts(files=1)
    assert len([file for page in lake.zone.files() for file in page]) == 1


def test_only_a_newline_ends_a_line(lake: Lake) -> None:
    lake.land(line(event(message(participant(), text="a\u2028b\u0085c"))))
    lake.load()
    assert lake.rows("select payload -> 'message' ->> 'conversation' from whatsapp_events") == [("a\u2028b\u0085c",)]


def test_a_last_line_without_its_newline_loads(lake: Lake) -> None:
    lake.land(line(event(), 1), line(event(), 2).rstrip(b"\n"))
    assert lake.load().loaded == 2


def test_nul_and_lone_surrogates_load_and_are_flagged(lake: Lake) -> None:
    lake.land(line(rb'{"type":"x","payload":"a\u0000b\ud83dc"}'.replace(b"\\\\", b"\\")), line(event(), 2))
    lake.load()
    assert lake.rows("select payload from whatsapp_events where payload_sanitized") == [("a\ufffdb\ufffdc",)]


def test_an_id_in_capitals_is_the_same_event(lake: Lake) -> None:
    capitals = event_id().upper()
    signature = sign(event(), capitals)
    lake.land(line(event()), encode_line(capitals, RECEIVED, "current", signature, event()))
    assert lake.load() == LoadCounts(files=1, lines=2, loaded=1, duplicates=1)


def test_a_failing_load_leaves_nothing_behind(lake: Lake) -> None:
    """The rows and the ledger's entry are there together or not at all."""
    lake.land(line(event()))
    lake.connection.execute("alter table landing_files add constraint none_yet check (lines < 0)")
    with pytest.raises(psycopg.errors.CheckViolation):
        lake.load()
    assert lake.rows("select count(*) from whatsapp_events") == [(0,)]
    lake.connection.execute("alter table landing_files drop constraint none_yet")
    assert lake.load().loaded == 1


def test_the_earliest_real_body_is_chosen_and_the_others_are_pointed_at(lake: Lake) -> None:
    placeholder = event(message(participant(), messageStubType=2))
    real, changed = event(message(participant(), text="real")), event(message(participant(), text="changed"))
    lake.land(line(placeholder), line(changed, received_at=later(20)))
    lake.load()
    key = lake.land(line(real, received_at=later(10)))
    lake.load()
    assert lake.rows(
        "select payload -> 'message' ->> 'conversation', undecrypted, received_at, deliveries, landing_key"
        " from whatsapp_events"
    ) == [("real", False, RECEIVED, 3, key)]
    assert lake.rows("select received_at, undecrypted from whatsapp_event_revisions order by 1") == [
        (RECEIVED, True),
        (later(20), False),
    ]


def test_an_event_that_gets_a_better_body_stays_the_same_row(lake: Lake) -> None:
    row = "select id, event_id::text, received_at, last_received_at, deliveries from whatsapp_events"
    lake.land(line(event(message(participant(), messageStubType=2))), line(event(), received_at=later(20)))
    lake.load()
    [(row_id, *_)] = lake.rows(row)
    key = lake.land(BAD, line(event(message(participant(), text="real")), received_at=later(10)))
    lake.load()
    assert lake.rows(row) == [(row_id, event_id(), RECEIVED, later(20), 3)]
    assert lake.rows("select landing_key, landing_line, body_received_at from whatsapp_events") == [(key, 2, later(10))]


def test_a_groups_name_and_metadata_are_its_newest(lake: Lake) -> None:
    def metadata(subject: str) -> bytes:
        return event(
            {"id": group(), "subject": subject, "participants": [{"id": participant().lid_jid}]}, kind="groups.metadata"
        )

    lake.land(line(metadata("new"), 2, later(10)))
    lake.load()
    lake.land(
        line(metadata("old"), 1), line(event({"id": group(), "name": "newest"}, kind="chats.update"), 3, later(20))
    )
    lake.load()
    assert lake.rows(
        "select display_name, payload ->> 'subject', first_seen_at, last_seen_at from whatsapp_groups"
    ) == [("newest", "new", RECEIVED, later(20))]


def test_a_group_that_has_its_former_name_again_is_named_so(lake: Lake) -> None:
    """The collector's update has the id of the first one then, and counts as delivered once more."""

    def rename(name: str, seconds: int) -> list[bytes]:
        time = int(later(seconds).timestamp())
        stub = message(
            participant(), messageStubType="GROUP_CHANGE_SUBJECT", messageStubParameters=[name], messageTimestamp=time
        )
        update = event({"id": group(), "subject": name}, kind="groups.update")
        return [line(event(stub), ("stub", seconds), later(seconds)), line(update, name, later(seconds))]

    lake.land(*rename("A", 0), *rename("B", 100), *rename("A", 200))
    lake.load()
    assert lake.rows("select display_name from whatsapp_groups") == [("A",)]


def test_a_day_that_changed_has_a_new_revision(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.load()
    [(day, first)] = lake.rows("select received_on::text, revision from event_days")
    lake.load()
    assert lake.rows("select received_on::text, revision from event_days") == [(day, first)]
    lake.land(line(event(), 2))
    lake.load()
    [(same_day, second)] = lake.rows("select received_on::text, revision from event_days")
    assert (day, same_day, first == second) == ("2026-05-21", "2026-05-21", False)
