"""What little has landed of late is loaded by the sensor's tick itself, and told to Dagster about once a minute."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pytest
from factories import event, line
from lake import Lake

from pipelines.landing.hours import hour_key
from pipelines.orchestration import definitions, trickle
from pipelines.orchestration.checks import LOAD_CHECKS
from pipelines.orchestration.cursors import Cursor
from pipelines.orchestration.partitions import RANGE_START
from pipelines.orchestration.reports import TABLES
from pipelines.orchestration.resources import Lake as LakeParts
from pipelines.orchestration.sensors import new_landing_files

ONE = "1 files, 1 lines: 1 loaded, 0 duplicates, 0 quarantined"


def land(lake: Lake, number: int, moment: datetime | None = None) -> datetime:
    """Land one event of this moment, else of now; return the moment."""
    moment = moment or datetime.now(UTC)
    lake.land(line(event(), number, moment), at=moment)
    return moment


def tick(instance: dg.DagsterInstance, cursor: str | None = None) -> Any:
    """Return what the sensor answers."""
    return new_landing_files(dg.build_sensor_context(instance=instance, cursor=cursor), lake=LakeParts())


def hours_asked(outcome: Any) -> list[str]:
    """Return the first hours of the loads that are asked for."""
    return [request.tags[RANGE_START] for request in outcome.run_requests]


def reason(outcome: Any) -> str:
    """Return why no run is asked for."""
    return str(outcome.skip_reason.skip_message)


def partitions(outcome: Any) -> dict[str | None, set[str]]:
    """Return the tables that are told of, by hour."""
    told: dict[str | None, set[str]] = {}
    for each in outcome.asset_events:
        if isinstance(each, dg.AssetMaterialization):
            told.setdefault(each.partition, set()).add(each.asset_key.path[-1])
    return told


def test_a_tick_loads_and_tells_of_it(lake: Lake, instance: dg.DagsterInstance) -> None:
    moment = land(lake, 1)
    outcome = tick(instance)
    assert (outcome.run_requests, reason(outcome)) == ([], ONE)
    assert lake.rows("select run_id, loaded from landing_files") == [("new_landing_files", 1)]
    assert partitions(outcome) == {hour_key(moment): set(TABLES)}
    checks = {each.check_name: each.passed for each in outcome.asset_events if hasattr(each, "check_name")}
    assert checks == {check.name: True for check in LOAD_CHECKS}


def test_loads_are_told_together_about_once_a_minute(lake: Lake, instance: dg.DagsterInstance) -> None:
    """What a tick doesn't tell a later one does, with the counts of all."""
    land(lake, 1)
    first = tick(instance)
    for number in (2, 3):
        land(lake, number)
        between = tick(instance, first.cursor)
        assert (between.asset_events, reason(between)) == ([], ONE)
    cursor = Cursor.read(between.cursor, datetime.now(UTC))
    assert cursor.reported
    lake.connection.execute("update landing_files set loaded_at = loaded_at - interval '1 minute'")
    later = tick(instance, str(cursor._replace(reported=cursor.reported - timedelta(minutes=1))))
    told = [each for each in later.asset_events if each.asset_key.path[-1] == "whatsapp_events"]
    loaded = [int(str(each.metadata["loaded"].value)) for each in told if isinstance(each, dg.AssetMaterialization)]
    assert sum(loaded) == 2
    assert tick(instance, later.cursor).asset_events == []


@pytest.mark.parametrize("bound", ["FILES", "BYTES"])
def test_more_than_little_is_a_run(
    lake: Lake, instance: dg.DagsterInstance, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trickle, bound, 1)
    moment = land(lake, 1)
    land(lake, 2, moment)
    assert hours_asked(tick(instance)) == [hour_key(moment)]
    assert lake.rows("select count(*) from whatsapp_events") == [(0,)]


def test_what_fails_in_a_tick_becomes_a_run(lake: Lake, instance: dg.DagsterInstance) -> None:
    lake.connection.execute("alter table landing_files add constraint none_yet check (lines < 0)")
    moment = land(lake, 1)
    assert hours_asked(tick(instance)) == [hour_key(moment)]


def test_what_has_to_wait_becomes_a_run(
    lake: Lake, lake_environment: dict[str, str], instance: dg.DagsterInstance
) -> None:
    """A rebuild holds the tables as long as it takes, and a tick has 60 s."""
    moment = land(lake, 1)
    with psycopg.connect(lake_environment["DATABASE_URL"]) as rebuild:
        rebuild.execute("lock table whatsapp_participants in exclusive mode")
        rebuild.execute("lock table landing_files in share row exclusive mode")
        assert hours_asked(tick(instance)) == [hour_key(moment)]


def test_an_hour_that_is_no_partition_is_loaded_too(lake: Lake, instance: dg.DagsterInstance) -> None:
    """It is of a clock that is ahead, and a listing of everything finds it."""
    ahead = datetime.now(UTC) + timedelta(hours=1)
    lake.land(line(event(), 1, ahead), at=ahead)
    (request,) = tick(instance).run_requests
    assert (request.job_name, request.tags["hours"]) == ("load_range", hour_key(ahead))


def test_what_waits_is_observed_and_that_it_waits_no_more(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def observed(outcome: Any) -> dict[str, Any]:
        (found,) = (each for each in outcome.asset_events if isinstance(each, dg.AssetObservation))
        assert found.asset_key.path == ["landing", "files"]
        return {name: value.value for name, value in found.metadata.items()}

    monkeypatch.setattr(trickle, "FILES", 0)
    land(lake, 1)
    first = tick(instance)
    waits = observed(first)
    assert (waits["pending"], waits["files"], waits["lines"]) == (1, 0, 0)
    assert 0 < waits["oldest_pending_seconds"] < 600
    monkeypatch.setattr(trickle, "FILES", 1)
    monkeypatch.setattr(trickle, "REPORTED_EVERY", timedelta(0))
    later = observed(tick(instance, first.cursor))
    assert (later["pending"], later["files"], later["lines"], later["oldest_pending_seconds"]) == (0, 1, 1, 0)
    assert later["bytes"] > 100


@pytest.mark.parametrize(("seconds", "asks"), [("60", False), ("0", True)])
def test_one_run_begins_within_load_seconds(
    lake: Lake, instance: dg.DagsterInstance, seconds: str, asks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD_SECONDS", seconds)
    job = definitions.defs.resolve_job_def("load")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.SUCCESS)
    lake.land(line(event(), 1))
    outcome = tick(instance)
    assert bool(outcome.run_requests) == asks
    assert asks or reason(outcome) == "a load began within LOAD_SECONDS (60)"


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (None, Cursor()),
        ("no time", Cursor()),
        ("2026-05-21T04:00:00+00:00", Cursor(datetime(2026, 5, 21, 4, tzinfo=UTC))),
        ("2999-01-01T00:00:00+00:00 2026-05-21T04:00:00+00:00", Cursor(None, datetime(2026, 5, 21, 4, tzinfo=UTC))),
        ("2026-05-21T04:00:00", Cursor()),
    ],
)
def test_a_cursor_is_what_it_says_but_for_the_future(text: str | None, read: Cursor) -> None:
    now = datetime.now(UTC)
    assert Cursor.read(text, now) == read
    assert Cursor.read(str(read), now)[1:] == read[1:]
