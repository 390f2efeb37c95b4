"""The status of a lake: processes, landed and loaded events, snapshots, room on the disks.

Belongs here: gathering. Not: showing it (main).
"""

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TypedDict

import obstore
import psycopg
from botocore.exceptions import BotoCoreError, ClientError
from psycopg.rows import dict_row

from pipelines import object_store
from pipelines.db.connection import check_database, connect
from pipelines.db.queries import query
from pipelines.doctor.disk import Disk, disks
from pipelines.errors import first_line
from pipelines.landing.format import split_lines
from pipelines.landing.zone import LandingZone
from pipelines.loading.alarms import Watch, alarms
from pipelines.loading.pending import pending
from pipelines.orchestration import code_server
from pipelines.parsing.extraction import RULES_VERSION
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.schemas import SCHEMAS

# What the clients of the database, of the object store and of HTTP raise when the other side isn't there.
UNREACHABLE = (OSError, psycopg.Error, obstore.exceptions.BaseError, BotoCoreError, ClientError)


class Process(TypedDict):
    """One process of the stack; healthy when it answers, the daemon when it has shown a sign of life of late."""

    name: str
    pid: int
    healthy: bool


class Status(TypedDict):
    """The object that `wpp-lake status --json` prints.

    `rules` has the version of the extraction rules: the `oldest` that tables were made by, and the `current` one.
    """

    processes: list[Process]
    counts: dict[str, int]
    snapshots: dict[str, str | None]
    missing_files: list[str]
    changed_files: list[str]
    load_verify: bool
    rules: dict[str, int]
    disks: list[Disk]
    errors: list[str]


def collect(settings: LakeSettings, *, listed: bool = True) -> Status:
    """Gather the status; what can't be asked now is left out, and `errors` says why.

    `listed`: with what takes listings of whole buckets, the landing files that wait for a load and the snapshots.
    """
    status = Status(
        processes=_processes(settings), counts={}, snapshots={}, missing_files=[], changed_files=[],
        load_verify=settings.load_verify, rules={}, disks=[], errors=[],
    )  # fmt: skip
    with _noting(status, "disks"):
        status["disks"] = disks(settings)
    with _noting(status, "counts"):
        check_database(settings)
        status["rules"] = _rules(settings)
        _ask_store(settings, settings.landing_bucket)
        status["counts"] = _counts(settings, listed=listed)
        with connect(settings) as conn:
            for alarm in alarms(conn):
                (status["missing_files"] if alarm.kind == "missing" else status["changed_files"]).append(alarm.key)
    with _noting(status, "snapshots"):
        _ask_store(settings, settings.snapshot_bucket)
        store = SnapshotStore(settings)
        status["snapshots"] = {table: store.newest(table) for table in SCHEMAS if listed}
    return status


def is_of_older_rules(status: Status) -> bool:
    """Tell whether the tables hold rows that older rules made, which a rebuild makes anew."""
    return bool(status["rules"]) and status["rules"]["oldest"] < status["rules"]["current"]


@contextmanager
def _noting(status: Status, part: str) -> Iterator[None]:
    """Note why a part can't be asked now."""
    try:
        yield
    except UNREACHABLE as error:
        status["errors"].append(f"{part}: {first_line(error)}")


def _processes(settings: LakeSettings) -> list[Process]:
    """Return the processes that `wpp-lake up` recorded in the data directory; none where there is no such stack."""
    record = settings.wpp_lake_data_dir and settings.wpp_lake_data_dir / "processes.json"
    if record is None or not record.exists():
        return []
    return [
        {"name": each["name"], "pid": each["pid"], "healthy": _is_healthy(settings, each["name"], each["pid"])}
        for each in json.loads(record.read_text())["processes"]
    ]


def _is_healthy(settings: LakeSettings, name: str, pid: int) -> bool:
    """Tell whether a process lives and, if it is one that can be asked something, answers."""
    try:
        with suppress(PermissionError):  # somebody else's lives too
            os.kill(pid, 0)
        match name:
            case "receiver":
                _get(f"{settings.wpp_lake_receiver_url}/readyz")
            case "dagster-code" if settings.wpp_lake_data_dir:
                code_server.check(settings.wpp_lake_data_dir / code_server.SOCKET)
            case "dagster-webserver":
                _get(f"{settings.wpp_lake_dagster_url}/server_info")
            case "dagster-daemon":
                return _has_heartbeat(settings.dagster_postgres_url.get_secret_value())
            case "postgres":
                check_database(settings)
            case "s3":
                _ask_store(settings, settings.landing_bucket)
    except UNREACHABLE:
        return False
    return True


def _ask_store(settings: LakeSettings, bucket: str) -> None:
    """Raise unless the object store lists a bucket at once; what reads from it is made to wait for it."""
    object_store.client(settings, object_store.FOR_A_QUESTION).list_objects_v2(Bucket=bucket, MaxKeys=1)


def _has_heartbeat(storage_url: str) -> bool:
    """Tell whether Dagster's daemon has said so of late to its storage, which SQLAlchemy's URL names."""
    with psycopg.connect(storage_url.replace("+psycopg2", ""), connect_timeout=2) as conn:
        return bool(conn.execute(query("daemon")).fetchall())


def _get(url: str) -> None:
    urllib.request.urlopen(url, timeout=2).close()  # noqa: S310  the stack's own http address


def _rules(settings: LakeSettings) -> dict[str, int]:
    """Return the version of the rules that the tables were made by, the oldest of them, and the current one."""
    with psycopg.connect(settings.conninfo) as conn:
        (oldest,) = conn.execute(query("rules")).fetchone() or (None,)
    return {"oldest": oldest or RULES_VERSION, "current": RULES_VERSION}


def _counts(settings: LakeSettings, *, listed: bool) -> dict[str, int]:
    """Count what is landed and loaded; `listed`: files that the ledger doesn't know are read to count their lines."""
    zone = LandingZone(settings)
    with connect(settings) as other, psycopg.connect(settings.conninfo) as conn:
        # One moment for the counts and for what the ledger knows, so that each listed file counts once.
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        counts: dict[str, int] = conn.cursor(row_factory=dict_row).execute(query("status")).fetchone() or {}
        waiting = list(pending(conn, zone, watch=Watch(other, zone))) if listed else []
    counts["landed_files"] += len(waiting)
    counts["landed_events"] += sum(len(split_lines(each.content)) for each in zone.fetch(waiting))
    return counts
