"""Alerts: one message per trouble and one when it is over, once a day that all is well, and nothing of a person."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from factories import event, line
from lake import Lake
from watcher import Watcher, watching

from pipelines.orchestration import alerts, definitions
from pipelines.orchestration.checks import COLLECTOR_HEARD, FILES_AS_LOADED, NOTHING_IN_QUARANTINE, Check
from pipelines.orchestration.resources import Lake as LakeParts
from pipelines.snapshots.write import write_snapshots

CONSOLE = "http://console.example"


@pytest.fixture
def watcher(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    """Run what is posted to, and have it in a lake's settings; it isn't yet the hour of the daily message.

    No disk is known to be the lake's.
    """
    assert lake.settings.alert_webhook_url is None
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.setattr(alerts, "DAILY_HOUR", 24)
    with watching() as service:
        monkeypatch.setenv("ALERT_WEBHOOK_URL", service.url)
        monkeypatch.setenv("WPP_LAKE_DAGSTER_URL", CONSOLE)
        yield service


def ticks(instance: dg.DagsterInstance, cursor: str | None = None, times: int = 2) -> Any:
    """Return what the last of some ticks answers, each with the cursor of the one before."""
    for _ in range(times):
        outcome: Any = alerts.alert(dg.build_sensor_context(instance=instance, cursor=cursor), lake=LakeParts())
        cursor = outcome.cursor
    return outcome


def run(instance: dg.DagsterInstance, job: str, status: dg.DagsterRunStatus) -> dg.DagsterRun:
    """Note a run that ended so."""
    return instance.create_run_for_job(definitions.defs.resolve_job_def(job), status=status)


def evaluate(instance: dg.DagsterInstance, check: Check, *, passed: bool) -> None:
    """Note a check's result."""
    result = dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(list(check.asset)), check_name=check.name, passed=passed, severity=check.severity
    )
    instance.report_runless_asset_event(result)


def test_a_failed_run_is_told_once_with_its_page_and_when_it_is_over(
    instance: dg.DagsterInstance, watcher: Watcher
) -> None:
    failed = run(instance, "load", dg.DagsterRunStatus.FAILURE)
    told = ticks(instance)
    assert [post["text"] for post in watcher.posts] == [
        f"wpp-lake: the last run of load failed; its page says why: {CONSOLE}/runs/{failed.run_id} (docs/runbook.md)"
    ]
    assert [set(post) for post in watcher.posts] == [{"text", "content"}]
    run(instance, "load", dg.DagsterRunStatus.SUCCESS)
    ticks(instance, told.cursor)
    assert [post["text"].split(";")[0] for post in watcher.posts[1:]] == ["wpp-lake: over: the last run of load failed"]


def test_a_failing_check_is_told_with_its_remedy_and_when_it_is_over(
    instance: dg.DagsterInstance, watcher: Watcher
) -> None:
    evaluate(instance, FILES_AS_LOADED, passed=False)
    told = ticks(instance)
    [post] = watcher.posts
    assert post["text"].startswith("wpp-lake: the check files_as_loaded fails: ")
    assert FILES_AS_LOADED.remedy in post["text"]
    evaluate(instance, FILES_AS_LOADED, passed=True)
    ticks(instance, told.cursor)
    assert [post["text"].split(":")[1] for post in watcher.posts[1:]] == [" over"]


def test_of_warnings_the_collectors_silence_alone_is_told(instance: dg.DagsterInstance, watcher: Watcher) -> None:
    for check in (NOTHING_IN_QUARANTINE, COLLECTOR_HEARD):
        evaluate(instance, check, passed=False)
    ticks(instance)
    assert [post["text"].split()[3] for post in watcher.posts] == ["collector_heard"]


def test_what_can_not_be_posted_is_posted_later_and_the_address_is_not_told(
    instance: dg.DagsterInstance, watcher: Watcher
) -> None:
    watcher.answer = 500
    run(instance, "snapshot", dg.DagsterRunStatus.FAILURE)
    refused = ticks(instance)
    assert (refused.skip_reason.skip_message, watcher.posts) == ("ALERT_WEBHOOK_URL answers 500", [])
    watcher.answer = 200
    assert ticks(instance, refused.cursor).skip_reason.skip_message == "1 troubles"
    assert len(watcher.posts) == 1


def test_a_lake_that_can_not_be_asked_fails_no_tick(
    instance: dg.DagsterInstance, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "file:///etc/passwd")
    assert ticks(instance).skip_reason.skip_message.startswith("SettingsError: ")
    assert watcher.posts == []


def test_a_failed_listing_of_everything_is_told(instance: dg.DagsterInstance, watcher: Watcher) -> None:
    run(instance, "list_landing_zone", dg.DagsterRunStatus.FAILURE)
    ticks(instance)
    assert [post["text"].split(";")[0] for post in watcher.posts] == [
        "wpp-lake: the last run of list_landing_zone failed"
    ]


@pytest.mark.parametrize("cursor", [None, "no cursor", "[]", '{"troubles": 1, "day": "x"}'])
def test_once_a_day_it_tells_that_all_is_well(
    lake: Lake, instance: dg.DagsterInstance, watcher: Watcher, cursor: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "DAILY_HOUR", 0)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    lake.land(line(event(), 1, yesterday), b"no line\n", at=yesterday)
    lake.load(yesterday)
    told = ticks(instance, cursor)
    summary = "wpp-lake: all is well: 1 received, 1 in tables, 0 in Parquet; quarantine 1"
    assert [post["text"] for post in watcher.posts] == [summary]
    earlier = told.cursor.replace(datetime.now(UTC).date().isoformat(), yesterday.date().isoformat())
    run(instance, "prune", dg.DagsterRunStatus.FAILURE)
    ticks(instance, earlier)
    assert [post["text"].split(";")[0] for post in watcher.posts[1:]] == ["wpp-lake: the last run of prune failed"]


def daily_line(instance: dg.DagsterInstance, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return what is posted once a day."""
    monkeypatch.setattr(alerts, "DAILY_HOUR", 0)
    watcher.posts.clear()
    ticks(instance)
    [post] = watcher.posts
    return post["text"].removeprefix("wpp-lake: all is well: ")


def test_numbers_that_are_the_same_are_told_once(
    lake: Lake, instance: dg.DagsterInstance, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    lake.land(*[line(event(), number, yesterday) for number in range(3)], at=yesterday)
    lake.load(yesterday)
    assert daily_line(instance, watcher, monkeypatch).startswith("3 received, 3 in tables, 0 in Parquet; ")
    list(write_snapshots(lake.settings, lake.snapshots, yesterday.date()))
    assert daily_line(instance, watcher, monkeypatch) == "3 received = in tables = in Parquet; quarantine 0"


def test_the_daily_line_ends_with_the_disk_that_is_here(
    lake: Lake, instance: dg.DagsterInstance, watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its days where growth tells them, else what is free of it."""
    (tmp_path / "s3").mkdir()
    monkeypatch.setenv("WPP_LAKE_DATA_DIR", str(tmp_path))

    def told() -> str:
        return daily_line(instance, watcher, monkeypatch).partition("; quarantine 0; ")[2]

    assert re.fullmatch(r"disk \d+% free", told())
    lake.land(line(event()))
    lake.load()
    lake.connection.execute("update landing_files set size = 10^15")
    assert re.fullmatch(r"disk \d+% free", told())  # all of it landed long ago
    now = datetime.now(UTC)
    key = lake.land(line(event(), 2, now), at=now)
    lake.load(now)
    assert told() == "disk for years"
    tenth = shutil.disk_usage(tmp_path).free // 10
    lake.connection.execute("update landing_files set size = %s where key = %s", [tenth, key])
    assert told() in {"disk 69 days", "disk 70 days", "disk 71 days"}  # a tenth of it in 7 days, and others write too


@pytest.mark.parametrize(("url", "there"), [("http://127.0.0.1:1", True), ("", False)])
def test_there_is_a_sensor_only_where_there_is_a_url(url: str, *, there: bool) -> None:
    show = "from pipelines.orchestration.definitions import defs; print(*(each.name for each in defs.sensors))"
    done = subprocess.run(
        [sys.executable, "-c", show],
        env=os.environ | {"ALERT_WEBHOOK_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("alerts" in done.stdout.split()) is there
