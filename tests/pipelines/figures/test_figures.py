"""The figures of a lake: what waits, how late loads and snapshots are, and what of that listings can't tell."""

from datetime import UTC, date, datetime, timedelta

import pytest
from factories import RECEIVED, event, line
from lake import Lake

from pipelines.figures import waiting as waits
from pipelines.figures.lake import Quarantined, connect_quickly, figures, noted_since, rows
from pipelines.figures.waiting import Waiting, recent_hours, waiting
from pipelines.landing.hours import today
from pipelines.loading.load import rebuild
from pipelines.loading.pending import note_hours
from pipelines.snapshots.write import write_snapshots
from receiver.landing import hour_prefix

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DATE = RECEIVED.date()
LONG_AGO = RECEIVED.replace(minute=0, second=0, microsecond=0)
NAMED, AT = "019e48bd-8340-7000-8000-000000000000.jsonl", datetime(2026, 5, 21, 4, 14, tzinfo=UTC)


def put(lake: Lake, moment: datetime, name: str = "a.jsonl", content: bytes = b"") -> str:
    """Put a landing file into the hour of a moment; return its key."""
    key = f"{hour_prefix(moment)}{name}"
    lake.client.put_object(Bucket=lake.settings.landing_bucket, Key=key, Body=content or line(event(), name, moment))
    return key


def test_the_recent_hours_are_the_running_one_and_three_before_it() -> None:
    now = datetime(2026, 5, 21, 1, 59, 59, tzinfo=UTC)
    assert [f"{hour:%d %H:%M}" for hour in recent_hours(now)] == ["20 22:00", "20 23:00", "21 00:00", "21 01:00"]


def test_recent_files_wait_until_they_are_loaded(lake: Lake) -> None:
    now = datetime.now(UTC)
    old, new = (put(lake, now - number * HOUR) for number in (2, 0))
    assert waiting(lake.connection, lake.zone, now) == Waiting(
        2, hour(now - 2 * HOUR), hour(now)
    )  # by their hours: these names have no time
    lake.load(hour(now - 2 * HOUR))
    assert waiting(lake.connection, lake.zone, now) == Waiting(1, hour(now), hour(now))
    assert old != new


def hour(moment: datetime) -> datetime:
    """Return when the hour of a moment began."""
    return moment.replace(minute=0, second=0, microsecond=0)


def test_files_of_noted_hours_wait_too_and_others_are_left_to_a_listing(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    for number in range(3):
        put(lake, LONG_AGO + number * HOUR)
    assert waiting(lake.connection, lake.zone, now) == Waiting(0, None, None)
    assert noted_since(lake.connection) is None
    note_hours(lake.connection, {LONG_AGO: 1, LONG_AGO + 2 * HOUR: 1})
    assert waiting(lake.connection, lake.zone, now) == Waiting(2, LONG_AGO, LONG_AGO + 2 * HOUR)
    noted = noted_since(lake.connection)
    assert noted is not None
    assert now - HOUR < noted < now + HOUR
    monkeypatch.setattr(waits, "MOST_NOTED_HOURS", 1)
    assert waiting(lake.connection, lake.zone, now) == Waiting(1, LONG_AGO, LONG_AGO)


def test_the_figures_of_an_empty_lake_are_none(lake: Lake) -> None:
    found = figures(lake.connection)
    assert (found.received_at, found.newest_file, found.stale_since) == (None, None, None)
    assert (found.quarantine, found.snapshots, tuple(found.alarms)) == ((), (), (0, 0))
    assert set(rows(lake.connection).values()) == {0}


def test_the_delay_is_that_of_the_newest_file(lake: Lake) -> None:
    put(lake, RECEIVED - DAY)
    key = put(lake, RECEIVED, NAMED, line(event(), 1))
    for moment in (RECEIVED, RECEIVED - DAY):
        lake.load(moment)
    loaded_at = AT + timedelta(seconds=7)
    lake.connection.execute("update landing_files set loaded_at = %s where key = %s", [loaded_at, key])
    assert figures(lake.connection).newest_file == (AT, timedelta(seconds=7))
    assert figures(lake.connection).received_at == RECEIVED


def test_a_rebuild_says_nothing_of_how_late_loads_are(lake: Lake) -> None:
    put(lake, RECEIVED)
    rebuild(lake.connection, lake.zone, "rebuild")
    assert figures(lake.connection).newest_file == (LONG_AGO, None)


def test_the_quarantine_is_counted_by_state_and_reason(lake: Lake) -> None:
    lake.land(b"one\n", b"two\n", b"three\n", line(b"[]"))
    lake.load()
    lake.connection.execute("update quarantined_events set state = 'discarded' where line_number = 1")
    assert figures(lake.connection).quarantine == (
        Quarantined("discarded", "bad_line", 1),
        Quarantined("open", "bad_envelope", 1),
        Quarantined("open", "bad_line", 2),
    )


# --- stale snapshots


def stale_since(lake: Lake) -> datetime | None:
    return figures(lake.connection).stale_since


def load_one(lake: Lake, number: int) -> str:
    """Load one more event; return its landing file's key."""
    key = lake.land(line(event(), number))
    lake.load()
    return key


def written(lake: Lake, day: date = DATE) -> None:
    """Write the snapshots of a date."""
    list(write_snapshots(lake.settings, lake.snapshots, day))


def loaded_at(lake: Lake, key: str) -> datetime:
    """Return when a file was loaded."""
    [(moment,)] = lake.connection.execute("select loaded_at from landing_files where key = %s", [key]).fetchall()
    assert isinstance(moment, datetime)
    return moment


def test_a_change_waits_from_its_load_until_its_snapshot_is_written(lake: Lake) -> None:
    """From the first load on, however many come after it."""
    for numbers in ((1, 2), (3, 4)):
        first, _ = (load_one(lake, number) for number in numbers)
        assert stale_since(lake) == loaded_at(lake, first)
        written(lake)
        assert stale_since(lake) is None


def test_what_brought_no_event_doesnt_wait(lake: Lake) -> None:
    """Nor does what comes after it wait from then on."""
    load_one(lake, 1)
    written(lake)
    aside = lake.land(b"no line\n")
    lake.load()
    assert stale_since(lake) is None
    load_one(lake, 2)
    since = stale_since(lake)
    assert since is not None
    assert since > loaded_at(lake, aside)


def test_another_body_of_an_event_waits_since_its_date_changed(lake: Lake) -> None:
    """It brings no event, and changes a row all the same."""
    load_one(lake, 1)
    written(lake)
    lake.land(line(event(participant="other"), 1, RECEIVED - timedelta(seconds=1)))
    lake.load()
    [(changed,)] = lake.rows("select uuid_extract_timestamp(revision) from event_days")
    assert stale_since(lake) == changed


def test_the_newest_snapshot_is_that_of_the_newest_date(lake: Lake) -> None:
    load_one(lake, 1)
    written(lake)
    written(lake, today())
    found = {file.table: (file.date, file.rows) for file in figures(lake.connection).snapshots}
    assert found == {
        "whatsapp_events": (today(), 0),
        "whatsapp_groups": (today(), 1),
        "whatsapp_participants": (today(), 1),
        "whatsapp_participant_jids": (today(), 2),
    }


def test_a_question_that_takes_too_long_is_given_up(lake: Lake) -> None:
    with connect_quickly(lake.settings) as conn:
        assert conn.execute("show statement_timeout").fetchone() == ("5s",)
