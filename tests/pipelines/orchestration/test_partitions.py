"""Where the partitions begin, that each of them can be filled, and how yesterday is closed."""

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from factories import RECEIVED, event, line
from lake import Lake
from project import ROOT

from pipelines.landing.hours import hour_key, today
from pipelines.orchestration import partitions, schedules
from pipelines.orchestration.definitions import defs
from pipelines.orchestration.partitions import PARTITION, RANGE_END, RANGE_START
from pipelines.orchestration.reports import TABLES
from pipelines.settings import SettingsError

BEGIN = "from pipelines.orchestration.partitions import BEGIN, HOURS; print(BEGIN.isoformat(), end='')"
EVENTS = dg.AssetKey(["tables", "whatsapp_events"])


def running() -> datetime:
    """Return the running UTC hour."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


def begins(environment: Mapping[str, str]) -> datetime:
    """Return where the partitions begin in a process with this environment and no other."""
    done = subprocess.run(
        [sys.executable, "-c", BEGIN],
        env={"PATH": os.defpath, "HOME": "/nonexistent", "DO_NOT_TRACK": "1", **environment},
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return datetime.fromisoformat(done.stdout)


def test_they_begin_at_the_first_landed_hour(lake: Lake, lake_environment: dict[str, str]) -> None:
    for moment in (RECEIVED + timedelta(days=3), RECEIVED, datetime(1970, 1, 1, tzinfo=UTC)):  # the last by a bad clock
        lake.land(line(event(), moment, moment), at=moment)
    assert begins(lake_environment) == datetime(2026, 5, 21, 4, tzinfo=UTC)


@pytest.mark.parametrize("missing", ["files", "store", "environment"])
@pytest.mark.usefixtures("lake")
def test_without_a_landed_hour_they_begin_at_the_running_one(missing: str, lake_environment: dict[str, str]) -> None:
    dead = {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9"} if missing == "store" else {}
    before = running()
    assert before <= begins({} if missing == "environment" else lake_environment | dead) <= running()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("2026-05-21", datetime(2026, 5, 21, tzinfo=UTC)),
        ("2026-05-21T06:30Z", datetime(2026, 5, 21, 6, tzinfo=UTC)),
        ("2026-05-21T06:30-03:00", datetime(2026, 5, 21, 9, tzinfo=UTC)),
    ],
)
def test_a_setting_says_where_they_begin(given: str, expected: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTITIONS_SINCE", given)
    assert partitions.begin() == expected


def test_a_setting_of_the_future_leaves_the_running_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTITIONS_SINCE", "2999-01-01")
    before = running()
    assert before <= partitions.begin() <= running()


def test_a_setting_that_is_no_time_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTITIONS_SINCE", "soon")
    with pytest.raises(SettingsError, match="PARTITIONS_SINCE"):
        partitions.begin()


def run(instance: dg.DagsterInstance, job: str, tags: Mapping[str, str], *assets: str) -> dict[str, list[Any]]:
    """Run a job over partitions; return what it told of each asset: the partition, and the metadata."""
    selection = [dg.AssetKey(asset.split("/")) for asset in assets] or None
    done = defs.resolve_job_def(job).execute_in_process(
        instance=instance, tags=dict(tags), asset_selection=selection, raise_on_error=False
    )
    assert done.success
    told: dict[str, list[Any]] = {}
    for each in done.get_asset_materialization_events():
        seen = each.step_materialization_data.materialization
        values = {name: value.value for name, value in seen.metadata.items()}
        told.setdefault(seen.asset_key.to_user_string(), []).append((seen.partition, values))
    return told


def test_every_hour_of_a_range_is_filled_the_empty_ones_too(lake: Lake, instance: dg.DagsterInstance) -> None:
    for number, moment in enumerate((RECEIVED, RECEIVED, RECEIVED + timedelta(hours=2))):
        lake.land(line(event(), number, moment), at=moment)
    told = run(instance, "load", {RANGE_START: "2026-05-20-23:00", RANGE_END: "2026-05-22-00:00"})
    assert set(told) == {f"tables/{table}" for table in TABLES}
    by_hour = dict(told["tables/whatsapp_events"])
    assert len(by_hour) == len(told["tables/whatsapp_groups"]) == 26
    filled = {key: values["dagster/partition_row_count"] for key, values in by_hour.items()}
    assert {key: rows for key, rows in filled.items() if rows} == {"2026-05-21-04:00": 2, "2026-05-21-06:00": 1}
    assert by_hour["2026-05-21-04:00"]["files"] == 2
    assert by_hour["2026-05-21-05:00"]["files"] == 0


def test_every_date_of_a_range_is_filled_and_only_those_with_events_have_a_file(
    lake: Lake, instance: dg.DagsterInstance
) -> None:
    for moment in (RECEIVED, RECEIVED + timedelta(days=2)):
        lake.land(line(event(), moment, moment), at=moment)
        lake.load(moment)
    told = run(instance, "snapshot", {RANGE_START: "2026-05-20", RANGE_END: "2026-05-23"})
    dates = ["2026-05-20", "2026-05-21", "2026-05-22", "2026-05-23"]
    for asset in ("snapshots/whatsapp_events", "snapshots/payload_fields"):
        assert [partition for partition, _ in told.pop(asset)] == dates
    assert told == {}  # a state has no past
    assert lake.snapshots.dates("whatsapp_events") == ["2026-05-21", "2026-05-23"]
    assert lake.snapshots.dates("payload_fields") == ["2026-05-21", "2026-05-23"]


def test_a_file_of_a_date_that_lost_its_events_is_written_anew(lake: Lake, instance: dg.DagsterInstance) -> None:
    """It would show what isn't there any more."""
    lake.land(line(event()))
    lake.load()
    run(instance, "snapshot", {PARTITION: "2026-05-21"})
    lake.empty()
    ((_, values),) = run(instance, "snapshot", {PARTITION: "2026-05-21"})["snapshots/whatsapp_events"]
    assert values["dagster/partition_row_count"] == 0
    found = lake.snapshots.find("whatsapp_events", RECEIVED.date())
    assert found
    assert found.rows == 0


def test_the_state_is_written_without_a_partition_and_with_the_running_date(
    lake: Lake, instance: dg.DagsterInstance
) -> None:
    lake.land(line(event()))
    lake.load()
    state = ["snapshots/whatsapp_groups", "snapshots/whatsapp_participants", "snapshots/whatsapp_participant_jids"]
    alone = run(instance, "snapshot", {}, *state)
    assert {asset: [partition for partition, _ in told] for asset, told in alone.items()} == {
        asset: [None] for asset in state
    }
    whole = run(instance, "snapshot", {PARTITION: str(today())})
    assert [partition for partition, _ in whole["snapshots/whatsapp_groups"]] == [None]
    assert [partition for partition, _ in whole["snapshots/whatsapp_events"]] == [str(today())]
    assert lake.snapshots.dates("whatsapp_groups") == [str(today())]


def closing(instance: dg.DagsterInstance, due: datetime) -> Any:
    """Return what the schedule that closes yesterday answers, due at this moment."""
    (schedule,) = (each for each in schedules.SCHEDULES if each.name == "close_yesterday")
    context = dg.build_schedule_context(instance=instance, scheduled_execution_time=due)
    return schedule.evaluate_tick(context)


def test_yesterday_is_closed_hour_by_hour_with_what_came_late(
    lake: Lake, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the three days that are looked at here, two have been closed: three months are 2,208 hours to load."""
    monkeypatch.setattr(schedules, "CLOSED_AGAIN", timedelta(days=3))
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    late = midnight - timedelta(hours=5)
    lake.land(line(event(), 1, late), at=late)
    everything = {RANGE_START: hour_key(midnight - schedules.CLOSED_AGAIN), RANGE_END: hour_key(midnight)}
    run(instance, "load", everything)
    lake.land(line(event(), 2, late), at=late)
    (request,) = closing(instance, now).run_requests
    assert request.tags[RANGE_START] == hour_key(midnight - timedelta(days=1))
    told = dict(run(instance, "load", request.tags)["tables/whatsapp_events"])
    assert len(told) == 24
    assert told[hour_key(late)]["dagster/partition_row_count"] == 2


def test_hours_that_were_never_closed_are_closed_within_three_months(instance: dg.DagsterInstance) -> None:
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    (request,) = closing(instance, now).run_requests
    assert (request.tags[RANGE_START], request.tags[RANGE_END]) == (
        hour_key(midnight - timedelta(days=92)),
        hour_key(midnight - timedelta(hours=1)),
    )


def test_a_time_that_was_slept_through_starts_nothing(instance: dg.DagsterInstance) -> None:
    """Dagster makes up for it as soon as it is started; a daily run isn't what a start is for."""
    for schedule in schedules.SCHEDULES:
        due = datetime.now(UTC) - timedelta(hours=2)
        context = dg.build_schedule_context(instance=instance, scheduled_execution_time=due)
        answer = schedule.evaluate_tick(context)
        assert answer.run_requests == []
        assert "it is not made up for" in str(answer.skip_message)
