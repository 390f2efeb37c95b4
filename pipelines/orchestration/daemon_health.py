"""Dagster as the doctor sees it: its code server, its daemon's heartbeat, the sensors, their cursors.

Belongs here: asking Dagster's storage. Not: what a sensor does (sensors), the checks without Dagster (doctor).
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, SensorInstigatorData, TickStatus
from dagster._daemon.controller import get_daemon_statuses

from pipelines.doctor.findings import Finding, failure, note, ok
from pipelines.orchestration import code_server
from pipelines.orchestration.alerts import alert
from pipelines.orchestration.cursors import CLOCKS_DIFFER_BY
from pipelines.orchestration.heartbeat import heartbeat
from pipelines.orchestration.sensors import LISTED_BY_A_TICK, new_landing_files, stale_snapshots
from pipelines.settings import LakeSettings

CODE, DAEMON, LOCATION = "dagster-code", "dagster-daemon", "wpp-lake"
SENSORS = (new_landing_files.name, stale_snapshots.name)
TICKS_EVERY = timedelta(minutes=5)  # a tick that lists much, or an hour of loads, takes a fraction of it
HEARTBEAT_SECONDS = 300  # it beats every 30 s; Dagster itself waits for half an hour
ITS_LOG = "Its log says why"


def check(settings: LakeSettings) -> Iterator[Finding]:
    """Look at Dagster's processes and sensors, where this lake has any."""
    if not settings.dagster_postgres_url.get_secret_value():
        yield note(DAEMON, "not looked at: DAGSTER_POSTGRES_URL isn't set")
    elif settings.wpp_lake_data_dir and not _has_daemon(settings.wpp_lake_data_dir):
        yield note(
            DAEMON, "there is none: `up` was started with --no-dagster, or runs no more; nothing loads by itself"
        )
    else:
        yield from _code(settings)
        with dg.DagsterInstance.get() as instance:
            yield _daemon(instance)
            for name in SENSORS:
                yield from _sensor(instance, name)
            for name, setting in _telling(settings):
                yield from _sensor(instance, name, setting)


def _telling(settings: LakeSettings) -> Iterator[tuple[str, str]]:
    """Yield the sensors that tell others, each with the setting without which there is none."""
    if settings.heartbeat_url:
        yield heartbeat.name, "HEARTBEAT_URL"
    if settings.alert_webhook_url:
        yield alert.name, "ALERT_WEBHOOK_URL"


def _has_daemon(data_dir: Path) -> bool:
    """Tell whether `up` runs a daemon in this data directory."""
    record = data_dir / "processes.json"
    return record.exists() and DAEMON in {each["name"] for each in json.loads(record.read_text())["processes"]}


def _code(settings: LakeSettings) -> Iterator[Finding]:
    folder = settings.wpp_lake_data_dir
    place = folder / code_server.SOCKET if folder else settings.dagster_grpc_socket
    if place is None:
        yield note(CODE, "not asked: DAGSTER_GRPC_SOCKET isn't set")
        return
    try:
        code_server.check(place)
    except OSError as error:
        yield failure(CODE, f"the code server doesn't answer: {type(error).__name__}", f"Start it. {ITS_LOG}")
    else:
        yield ok(CODE, "the code server answers")


def _daemon(instance: dg.DagsterInstance) -> Finding:
    parts = instance.get_required_daemon_types()
    statuses = get_daemon_statuses(instance, parts, heartbeat_tolerance_seconds=HEARTBEAT_SECONDS).values()
    ill = sorted(status.daemon_type.lower() for status in statuses if not status.healthy)
    if not ill:
        return ok(DAEMON, "its heart beats")
    beats = [status.last_heartbeat for status in statuses if not status.healthy and status.last_heartbeat]
    errors = [error.message.strip().partition("\n")[0] for beat in beats for error in beat.errors or ()]
    found = f"no heartbeat of late, or errors, of: {', '.join(ill)}"
    return failure(DAEMON, "; ".join([found, *errors[:1]]), f"Start it again: nothing loads by itself. {ITS_LOG}")


def _sensor(instance: dg.DagsterInstance, name: str, setting: str = "") -> Iterator[Finding]:
    """Tell whether a sensor runs, what came of its last tick, and where its cursor stands, if it has one of moments."""
    states = [
        state
        for state in instance.all_instigator_state(instigator_type=InstigatorType.SENSOR)
        if state.name == name and state.repository_selector.location_name == LOCATION
    ]
    state, check = (states[-1] if states else None), f"sensor {name}"
    if state is None:
        remedy = f"The code server reads {setting} at its start: start it again if that was before" if setting else ""
        yield note(check, "the daemon hasn't called it yet", remedy)
    elif not state.is_running:
        then = f"{setting} is set, and nothing is sent there" if setting else "nothing comes by itself"
        yield failure(check, f"it is stopped: {then}", "Start it in Dagster's web interface, Automation")
    else:
        yield _tick(instance, state, check)
        if not setting:
            yield _cursor(state, name)


def _tick(instance: dg.DagsterInstance, state: InstigatorState, check: str) -> Finding:
    ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
    if not ticks:
        return note(check, "the daemon hasn't called it yet")
    last, remedy = ticks[0], f"Look at its ticks in Dagster's web interface, and at the daemon. {ITS_LOG}"
    if last.status == TickStatus.FAILURE:
        return failure(check, f"its last tick failed: {last.error.message.strip() if last.error else ''}", remedy)
    if last.timestamp < (datetime.now(UTC) - TICKS_EVERY).timestamp():
        at = datetime.fromtimestamp(last.timestamp, UTC)
        return failure(check, f"its last tick was at {at:%Y-%m-%d %H:%M} UTC", remedy)
    return ok(check, "it runs")


def _cursor(state: InstigatorState, name: str) -> Finding:
    """Tell whether a cursor is of a moment that was, and new_landing_files' of the last day."""
    check, data, now = f"cursor {name}", state.instigator_data, datetime.now(UTC)
    text = data.cursor if isinstance(data, SensorInstigatorData) else None
    if not text:
        return ok(check, "none yet")
    try:
        moment = datetime.fromisoformat(text.split()[0])
    except ValueError:
        return failure(check, "it is no time", "Set it to nothing in Dagster's web interface")
    if moment > now + CLOCKS_DIFFER_BY:
        return failure(check, f"it is in the future, {text}: a clock was ahead",
                       "Set the clock by NTP, and the cursor to nothing in Dagster's web interface")  # fmt: skip
    if name == new_landing_files.name and moment < now - LISTED_BY_A_TICK:
        return failure(check, f"it has stood still since {text}: older files aren't found",
                       "Look at the runs of list_landing_zone in Dagster's web interface")  # fmt: skip
    return ok(check, f"at {text}")
