"""A replay counts, and keeps nothing busy: a past date's snapshot shows it once per UTC day."""

from datetime import UTC, datetime

import pytest
from factories import RECEIVED, event, line, message, participant
from lake import Lake

from pipelines.landing.hours import today
from pipelines.snapshots.stale import stale_dates
from pipelines.snapshots.write import write_snapshots


def written(lake: Lake) -> list[str]:
    """Write every stale snapshot, and return their keys."""
    days = stale_dates(lake.connection)
    return [file.key for day in days for file in write_snapshots(lake.settings, lake.snapshots, day, only_stale=True)]


@pytest.fixture
def past(lake: Lake) -> Lake:
    """Return a lake with an event of a past date, all its snapshots written but those of its fields."""
    lake.land(line(event(), 1))
    lake.load()
    written(lake)
    lake.connection.execute("""
        insert into snapshot_files ("table", date, revision, rows, bytes)
        select 'payload_fields', date, revision, 0, 0 from snapshot_files where "table" = 'whatsapp_events'""")
    assert stale_dates(lake.connection) == []
    return lake


def redeliver(lake: Lake) -> None:
    """Deliver the event again, now."""
    now = datetime.now(UTC)
    lake.land(line(event(), 1, now), at=now)
    lake.load(now)


EVENTS_OF_THE_DATE = f"whatsapp_events/date={RECEIVED.date()}/whatsapp_events.parquet"


def test_a_redelivery_counts_and_leaves_its_past_dates_file_until_the_next_day(past: Lake) -> None:
    for _ in range(3):
        redeliver(past)
    assert past.rows("select deliveries from whatsapp_events") == [(4,)]
    assert EVENTS_OF_THE_DATE not in written(past)
    past.connection.execute("update event_days set redelivered_on = redelivered_on - 1")
    assert written(past) == [EVENTS_OF_THE_DATE]
    assert written(past) == []


def test_another_body_of_a_past_event_is_written_at_once(past: Lake) -> None:
    """An undecrypted placeholder whose text comes later, say: the row changes, not its number of deliveries alone."""
    earlier = RECEIVED.replace(minute=1)
    past.land(line(event({"better": 1}), 1, earlier), at=earlier)
    past.load(earlier)
    assert EVENTS_OF_THE_DATE in written(past)


def test_a_delivery_that_came_before_the_known_one_is_written_at_once(past: Lake) -> None:
    earlier = RECEIVED.replace(minute=1)
    past.land(line(event(), 1, earlier), at=earlier)
    past.load(earlier)
    assert EVENTS_OF_THE_DATE in written(past)


def test_a_new_event_of_a_date_that_waits_takes_its_redeliveries_along(past: Lake) -> None:
    redeliver(past)
    past.land(line(event(), 2))
    past.load()
    assert EVENTS_OF_THE_DATE in written(past)
    past.connection.execute("update event_days set redelivered_on = redelivered_on - 1")
    assert written(past) == []


def test_events_without_people_or_groups_leave_the_files_of_the_state_current(past: Lake) -> None:
    now = datetime.now(UTC)
    past.land(line(event({"x": 1}, kind="presence.update", chat=None), 7, now), at=now)
    past.load(now)
    assert written(past) == [f"whatsapp_events/date={today()}/whatsapp_events.parquet"]


def test_a_new_person_makes_the_files_of_the_state_stale(past: Lake) -> None:
    now = datetime.now(UTC)
    past.land(line(event(message(participant(9))), 8, now), at=now)
    past.load(now)
    assert {key.partition("/")[0] for key in written(past)} == {
        "whatsapp_events", "whatsapp_groups", "whatsapp_participants", "whatsapp_participant_jids",
    }  # fmt: skip
