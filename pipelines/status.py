"""What there is: processes, landed and loaded events, snapshots.

Belongs here: gathering. Not: showing it (cli).
"""

import json
import os
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypedDict

import obstore
import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from psycopg.rows import dict_row

from pipelines.landed import split_lines
from pipelines.landing_zone import LandingZone
from pipelines.loading import pending
from pipelines.queries import query
from pipelines.schemas import SCHEMAS
from pipelines.settings import LakeSettings
from pipelines.snapshots import SnapshotStore

# What the clients of the database, of the object store and of HTTP raise when the other side isn't there.
UNREACHABLE = (OSError, psycopg.Error, obstore.exceptions.BaseError, BotoCoreError, ClientError)


class Process(TypedDict):
    """One process of the stack; healthy when it answers, or, where it has no address, when it lives."""

    name: str
    pid: int
    healthy: bool


class Status(TypedDict):
    """What `wpp-lake status --json` prints."""

    processes: list[Process]
    counts: dict[str, int]
    snapshots: dict[str, str | None]
    changed_files: list[str]
    errors: list[str]


def collect(settings: LakeSettings) -> Status:
    """Gather the status; what can't be asked now is left out, and `errors` says why."""
    status: Status = {
        "processes": _processes(settings),
        "counts": {},
        "snapshots": {},
        "changed_files": [],
        "errors": [],
    }
    count = partial(_counts, alarm=status["changed_files"].append)
    for part, ask in (("counts", count), ("snapshots", _snapshots)):
        try:
            status[part] = ask(settings)  # type: ignore[literal-required]  # the two keys above
        except UNREACHABLE as error:
            status["errors"].append(f"{part}: {str(error).strip().partition(chr(10))[0]}")
    return status


def _snapshots(settings: LakeSettings) -> dict[str, str | None]:
    """Return the newest date that each table has a snapshot of."""
    store = SnapshotStore(settings)
    return {table: store.newest(table) for table in SCHEMAS}


def _processes(settings: LakeSettings) -> list[Process]:
    """Return the processes that `wpp-lake up` recorded in the data directory; none where there is no such stack."""
    record = settings.wpp_lake_data_dir and settings.wpp_lake_data_dir / "processes.json"
    if record is None or not record.exists():
        return []
    checks = _health_checks(settings)
    return [
        {"name": known["name"], "pid": known["pid"], "healthy": _lives(known["pid"]) and checks[known["name"]]()}
        for known in json.loads(record.read_text())["processes"]
    ]


def _health_checks(settings: LakeSettings) -> Mapping[str, Callable[[], bool]]:
    """Return what each process has to answer; one that isn't named here is healthy while it lives."""
    checks: dict[str, Callable[[], bool]] = defaultdict(lambda: lambda: True)
    checks["receiver"] = partial(_answers, f"{settings.wpp_lake_receiver_url}/readyz")
    checks["dagster-webserver"] = partial(_answers, f"{settings.wpp_lake_dagster_url}/server_info")
    checks["postgres"] = lambda: _works(lambda: psycopg.connect(settings.conninfo, connect_timeout=2).close())
    checks["s3"] = lambda: _works(lambda: next(LandingZone(settings).files(), None))
    return checks


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _answers(url: str) -> bool:
    return _works(lambda: urllib.request.urlopen(url, timeout=2).close())  # noqa: S310  the stack's own http address


def _works(action: Callable[[], object]) -> bool:
    """Tell whether the action succeeds."""
    try:
        action()
    except UNREACHABLE:
        return False
    return True


def _counts(settings: LakeSettings, alarm: Callable[[str], object]) -> dict[str, int]:
    """Count what is landed and loaded; files that the ledger doesn't know are read to count their lines."""
    zone = LandingZone(settings)
    with psycopg.connect(settings.conninfo) as conn:
        # One moment for the counts and for what the ledger knows, so that each listed file counts once.
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        row: dict[str, Any] = conn.cursor(row_factory=dict_row).execute(query("status")).fetchone() or {}
        waiting = list(pending(conn, zone, alarm=alarm))
    waiting_lines = sum(len(split_lines(each.content)) for batch in zone.fetch(waiting) for each in batch)
    files, lines = row.pop("files"), row.pop("lines")
    landed = {"landed_files": files + len(waiting), "landed_events": int(lines) + waiting_lines}
    return landed | {name: int(count) for name, count in row.items()}
