"""The sensors: what a tick asks for, and that it never lists what grows with age."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg
import pytest
from factories import RECEIVED, event, line
from fault_proxy import fault_proxy
from lake import Lake

from pipelines.db.migrations import SchemaError
from pipelines.landing.hours import hour_key, today
from pipelines.orchestration import assets, definitions, partitions, runs, trickle
from pipelines.orchestration import sensors as automation
from pipelines.orchestration.partitions import RANGE_END, RANGE_START
from pipelines.orchestration.resources import Lake as LakeParts
from pipelines.orchestration.sensors import list_job, new_landing_files, stale_snapshots

if TYPE_CHECKING:
    from servers import S3

OLD = "2026-05-21-04:00"  # RECEIVED's hour


@pytest.fixture
def large(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one file, which is loaded, too many for a tick to list the whole landing zone."""
    moment = RECEIVED - timedelta(days=9)
    lake.land(line(event(), "loaded", moment), at=moment)
    lake.load(moment)
    monkeypatch.setattr(automation, "PAGES_IN_A_TICK", 0)


def tick(
    instance: dg.DagsterInstance, cursor: str | None = None, sensor: dg.SensorDefinition = new_landing_files
) -> Any:
    """Return what a sensor answers."""
    return sensor(dg.build_sensor_context(instance=instance, cursor=cursor), lake=LakeParts())


def asked(outcome: Any) -> list[str]:
    """Return the first hours of the loads asked for, or the names of other jobs."""
    return [request.tags.get(RANGE_START, request.job_name) for request in outcome.run_requests]


def ago(hours: float) -> str:
    """Return a cursor of that time ago."""
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()


def listed(lake: Lake, hours: float) -> None:
    """Have the whole landing zone listed that time ago."""
    lake.connection.execute("delete from landing_listings")
    lake.connection.execute("insert into landing_listings values (%s, 0, 0)", [ago(hours)])


@pytest.mark.parametrize("sensor", [new_landing_files, stale_snapshots], ids=lambda sensor: sensor.name)
def test_a_tick_on_another_schema_refuses_with_that_word(
    lake: Lake, instance: dg.DagsterInstance, sensor: dg.SensorDefinition
) -> None:
    lake.connection.execute("insert into schema_migrations values ('20990101000000')")
    with pytest.raises(SchemaError, match="schema is newer than this wpp-lake"):
        tick(instance, sensor=sensor)


def test_a_small_landing_zone_is_listed_by_the_first_tick(lake: Lake, instance: dg.DagsterInstance) -> None:
    """What is old is asked for until it is loaded; what comes later in an old hour waits for the next listing."""
    now = datetime.now(UTC)
    lake.land(line(event(), 1))
    lake.land(line(event(), 2), at=now)
    first = tick(instance)
    assert [asked(first), asked(tick(instance, first.cursor))] == [[OLD]] * 2
    lake.load()
    lake.land(line(event(), 3))
    lake.land(line(event(), 4), at=now)
    assert asked(tick(instance, first.cursor)) == []
    assert lake.rows("select count(*) from whatsapp_events") == [(3,)]


@pytest.mark.usefixtures("large")
def test_a_large_one_is_listed_by_a_run_whose_hours_the_next_tick_asks_for(
    lake: Lake, instance: dg.DagsterInstance
) -> None:
    lake.land(line(event(), 1))
    first = tick(instance)
    assert (asked(first), first.cursor) == (["list_landing_zone"], None)
    job = definitions.defs.resolve_job_def(list_job.name)
    assert job.execute_in_process(instance=instance).success
    second = tick(instance, first.cursor)
    assert asked(second) == [OLD]
    lake.load()
    assert asked(tick(instance, second.cursor)) == []


@pytest.mark.usefixtures("large", "lake")
def test_a_listing_that_failed_is_not_asked_for_at_every_tick(instance: dg.DagsterInstance) -> None:
    assert asked(tick(instance)) == ["list_landing_zone"]
    instance.create_run_for_job(definitions.defs.resolve_job_def(list_job.name), status=dg.DagsterRunStatus.FAILURE)
    assert asked(tick(instance)) == []


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(
    ("cursor", "whole", "asks"),
    [
        (0.1, 1, False),
        (0.1, 25, True),
        (200, 1, False),  # a listing since covers what no tick saw
        (200, 72, True),
        (-1, 1, False),
        (0.1, -1, True),
        (-1, -1, True),
    ],
)
def test_everything_is_listed_once_a_day_and_after_a_gap(
    lake: Lake, instance: dg.DagsterInstance, cursor: float, whole: float, asks: bool
) -> None:
    """A cursor, or a listing, of the future counts as none: a clock once was ahead."""
    listed(lake, whole)
    assert asked(tick(instance, ago(cursor))) == (["list_landing_zone"] if asks else [])


@pytest.mark.usefixtures("large")
def test_hours_that_passed_without_a_tick_are_listed(lake: Lake, instance: dg.DagsterInstance) -> None:
    listed(lake, 23)
    moment = datetime.now(UTC) - timedelta(hours=9)
    lake.land(line(event(), 1, moment), at=moment)
    answers = [tick(instance, ago(hours)).skip_reason.skip_message for hours in (1, 8)]
    assert answers == ["no new landing files", "1 files, 1 lines: 1 loaded, 0 duplicates, 0 quarantined"]


def test_hours_that_are_no_partitions_are_loaded_by_a_run_of_none(lake: Lake, instance: dg.DagsterInstance) -> None:
    lake.land(line(event(), 1), at=datetime(2025, 12, 31, 23, tzinfo=UTC))
    (request,) = tick(instance).run_requests
    assert (request.job_name, request.tags["hours"]) == ("load_range", "2025-12-31-23:00")
    job = definitions.defs.resolve_job_def("load_range")
    assert job.execute_in_process(instance=instance, run_config=request.run_config, tags=request.tags).success
    assert lake.rows("select count(*), (select count(*) from pending_hours) from whatsapp_events") == [(1, 0)]


def test_a_load_forgets_its_hours_and_no_other(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOAD_SECONDS", "0")
    later = RECEIVED + timedelta(hours=5)
    lake.land(line(event(), 1))
    lake.land(line(event(), 2, later), at=later)
    assert [request.tags[RANGE_END] for request in tick(instance).run_requests] == [OLD, "2026-05-21-09:00"]
    runs.run_load(RECEIVED.replace(minute=0, second=0, microsecond=0))
    assert asked(tick(instance, ago(0.1))) == ["2026-05-21-09:00"]


def test_a_large_backlog_is_several_runs_and_a_small_one_is_not(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the sizes of what waits, which the listing has noted."""
    for hours in range(3):
        moment = RECEIVED + timedelta(hours=hours)
        lake.land(line(event(), hours, moment), at=moment)
    assert [request.tags["hours"] for request in tick(instance).run_requests] == [f"{OLD} to 2026-05-21-06:00"]
    monkeypatch.setattr(partitions, "RUN_BYTES", 2 * len(line(event())))
    asked = [request.tags["hours"] for request in tick(instance, ago(0.1)).run_requests]
    assert asked == [f"{OLD} to 2026-05-21-05:00", "2026-05-21-06:00"]


def test_recent_hours_go_before_a_backlog(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trickle, "BYTES", 0)
    now = datetime.now(UTC)
    lake.land(line(event(), 1))
    lake.land(line(event(), 2, now), at=now)
    outcome = tick(instance)
    assert asked(outcome) == [OLD, hour_key(now)]
    assert [request.tags.get("dagster/priority") for request in outcome.run_requests] == [None, "1"]


def test_a_backfill_is_a_run_per_24_partitions() -> None:
    policies = [asset.backfill_policy for asset in (assets.tables, assets.snapshots)]
    assert [policy.max_partitions_per_run for policy in policies if policy] == [24, 24]


def test_a_tick_asks_the_store_for_recent_hours_alone(
    lake: Lake, instance: dg.DagsterInstance, s3: "S3", monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many files, dates and snapshots there are: one listing an hour, and nothing for staleness."""
    listed(lake, 0.1)
    for days in range(5):
        lake.land(line(event(), days), at=RECEIVED + timedelta(days=days))
    with fault_proxy(s3) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.endpoint)
        tick(instance, ago(0.1))
        listings = len(proxy.requests)
        assert listings in {4, 5}  # three hours and the running one; one more where the hour has turned since
        tick(instance, None, stale_snapshots)
        assert len(proxy.requests) == listings


@pytest.mark.parametrize("cursor", ["2999-01-01T00:00:00+00:00", "no time"])
def test_a_snapshot_cursor_of_the_future_counts_as_none(lake: Lake, instance: dg.DagsterInstance, cursor: str) -> None:
    lake.land(line(event()))
    lake.load()
    asks = tick(instance, cursor, stale_snapshots)
    assert [request.partition_key for request in asks.run_requests] == ["2026-05-21", str(today())]
