"""The heartbeat: a call while all is well, none while anything isn't, and never more than that."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from factories import event, line
from lake import Lake
from receiver_process import start_receiver
from servers import S3
from watcher import SECRET_PATH, Watcher, watching

from pipelines.orchestration import heartbeat as heartbeats
from pipelines.orchestration.resources import Lake as LakeParts

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def watcher(lake: Lake, s3: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watcher]:
    """Run the service and a receiver, and have both in a lake's settings."""
    with start_receiver(s3, lake.settings.landing_bucket) as receiver, watching() as watcher:
        monkeypatch.setenv("HEARTBEAT_URL", watcher.url)
        monkeypatch.setenv("WPP_LAKE_RECEIVER_URL", receiver.url)
        yield watcher


def tick() -> str:
    """Return what a tick says."""
    said = heartbeats.heartbeat(dg.build_sensor_context(), lake=LakeParts())
    assert isinstance(said, dg.SkipReason)
    return str(said.skip_message)


def test_a_tick_calls_once_while_all_is_well(lake: Lake, watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is loaded waits for nothing."""
    monkeypatch.setattr(heartbeats, "LONGEST_WAIT", timedelta(0))
    lake.land(line(event()))
    lake.load()
    assert (tick(), watcher.calls) == ("all is well", [SECRET_PATH])


def test_a_fresh_landing_file_is_no_fault(lake: Lake, watcher: Watcher) -> None:
    lake.land(line(event()))
    assert (tick(), watcher.calls) == ("all is well", [SECRET_PATH])


def test_a_landing_file_that_waits_too_long_stops_it(
    lake: Lake, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "LONGEST_WAIT", timedelta(0))
    lake.land(line(event(), 1))
    lake.load()
    lake.land(line(event(), 2))
    assert tick().startswith("landing files have been waiting for a load since ")
    assert watcher.calls == []


def test_an_older_hour_that_a_listing_has_noted_and_nobody_loads_stops_it(lake: Lake, watcher: Watcher) -> None:
    lake.connection.execute("insert into pending_hours values ('2026-05-21 04:00Z', now() - interval '16 minutes')")
    assert tick().startswith("landing files have been waiting for a load since ")
    assert watcher.calls == []


def test_a_loaded_file_that_is_missing_stops_it(lake: Lake, watcher: Watcher) -> None:
    lake.connection.execute("insert into landing_alarms (key, kind) values ('whatsapp/lost', 'missing')")
    assert tick() == "landing files that were loaded: 1 are missing, 0 were changed"
    assert watcher.calls == []


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("WPP_LAKE_RECEIVER_URL=" + NOBODY, "the receiver doesn't answer: URLError"),
        ("WPP_LAKE_READYZ_URL=" + NOBODY, "the receiver doesn't answer: URLError"),
        ("DATABASE_URL=postgresql://127.0.0.1:1/lake", "OperationalError: "),
        ("AWS_ENDPOINT_URL_S3=" + NOBODY, "EndpointConnectionError: "),
        ("SNAPSHOT_BUCKET=no-such-bucket", "NoSuchBucket: "),
        ("STORE_MIN_FREE_MEGABYTES=1e12", "the disk of s3 "),
        ("STORE_MIN_FREE_MEGABYTES=little", "SettingsError: "),
        ("HEARTBEAT_URL=file:///etc/passwd", "SettingsError: "),
    ],
)
def test_whatever_is_wrong_stops_it_and_fails_no_tick(
    watcher: Watcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str, said: str
) -> None:
    (tmp_path / "s3").mkdir()
    monkeypatch.setenv("WPP_LAKE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv(*setting.split("=", 1))
    assert tick().startswith(said)
    assert watcher.calls == []


def test_a_receiver_whose_store_refuses_stops_it(
    lake: Lake, s3: S3, watcher: Watcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs and isn't ready."""
    with start_receiver(s3, "no-such-bucket", wait_ready=False) as unready:
        monkeypatch.setenv("WPP_LAKE_RECEIVER_URL", unready.url)
        assert tick() == "the receiver answers 503"
    assert watcher.calls == []
    assert lake.settings.heartbeat_url is None


def test_a_service_that_refuses_the_call_fails_no_tick(watcher: Watcher) -> None:
    watcher.answer = 404
    assert (tick(), watcher.calls) == ("HEARTBEAT_URL answers 404", [SECRET_PATH])


@pytest.mark.usefixtures("watcher")
def test_a_service_that_is_away_fails_no_tick_and_its_url_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTBEAT_URL", NOBODY + SECRET_PATH)
    assert tick() == "HEARTBEAT_URL doesn't answer: URLError"


@pytest.mark.parametrize(("url", "there"), [(NOBODY, True), ("", False)])
def test_there_is_a_sensor_only_where_there_is_a_url(url: str, *, there: bool) -> None:
    show = "from pipelines.orchestration.definitions import defs; print(*(each.name for each in defs.sensors))"
    done = subprocess.run(
        [sys.executable, "-c", show],
        env=os.environ | {"HEARTBEAT_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ("heartbeat" in done.stdout.split()) is there
