"""Which hours have landing files that the ledger lacks, and who remembers them."""

import gc
import sys
from datetime import UTC, datetime, timedelta

from factories import RECEIVED, event, line
from lake import Lake

from pipelines.loading.ledger import entries
from pipelines.loading.pending import forget_hours, last_listed, list_everything, note_hours, noted_hours, pending
from receiver.landing import hour_prefix

HOUR = RECEIVED.replace(minute=0, second=0, microsecond=0)
NEXT = HOUR + timedelta(hours=1)


def test_an_hour_is_remembered_until_a_load_that_began_later_has_taken_it(lake: Lake) -> None:
    conn = lake.connection
    note_hours(conn, {})
    assert noted_hours(conn) == {}
    note_hours(conn, {NEXT: 2, HOUR: None})
    assert noted_hours(conn) == {HOUR: None, NEXT: 2}
    assert {hour.tzinfo for hour in noted_hours(conn)} == {UTC}
    forget_hours(conn, [HOUR], datetime.now(UTC) - timedelta(hours=1))
    assert set(noted_hours(conn)) == {HOUR, NEXT}
    forget_hours(conn, [HOUR], datetime.now(UTC) + timedelta(hours=1))
    assert noted_hours(conn) == {NEXT: 2}
    forget_hours(conn, [NEXT])
    assert noted_hours(conn) == {}


def test_a_size_stays_known_where_another_look_has_none(lake: Lake) -> None:
    for size in (2, None, 3):
        note_hours(lake.connection, {HOUR: size})
    assert noted_hours(lake.connection) == {HOUR: 3}
    note_hours(lake.connection, {HOUR: None})
    assert noted_hours(lake.connection) == {HOUR: 3}


def test_a_whole_listing_notes_the_hours_of_what_the_ledger_lacks(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.load()
    assert last_listed(lake.connection) is None
    for number in (2, 3):
        lake.land(line(event(), number), at=NEXT)
    assert list_everything(lake.connection, lake.zone)
    assert noted_hours(lake.connection) == {NEXT: 2 * len(line(event(), 2))}
    assert lake.rows("select files, pending from landing_listings") == [(3, 2)]
    listed = last_listed(lake.connection)
    assert listed is not None
    assert abs(listed - datetime.now(UTC)) < timedelta(hours=1)


def test_a_listing_that_ends_early_is_none(lake: Lake) -> None:
    lake.land(line(event(), 1))
    assert not list_everything(lake.connection, lake.zone, pages=0)
    assert last_listed(lake.connection) is None
    assert list_everything(lake.connection, lake.zone, pages=1)
    assert set(noted_hours(lake.connection)) == {HOUR}


def test_what_is_pending_is_of_one_hour_or_of_all(lake: Lake) -> None:
    known = lake.land(line(event(), 1))
    lake.load()
    keys = [lake.land(line(event(), 2)), lake.land(line(event(), 3), at=NEXT)]
    assert [file.key for file in pending(lake.connection, lake.zone)] == keys
    assert [file.key for file in pending(lake.connection, lake.zone, NEXT)] == keys[1:]
    assert known.startswith(hour_prefix(HOUR))
    assert list(entries(lake.connection, [known, *keys])) == [known]


def test_a_load_leaves_the_interpreter_as_it_was(lake: Lake) -> None:
    before = sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()
    lake.land(line(event(), 1))
    lake.load()
    assert (sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()) == before
