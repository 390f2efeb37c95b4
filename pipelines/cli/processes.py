"""The processes of `up`: which it recorded, since when each runs, and whether it answers.

Belongs here: asking each whatever it can be asked. Not: starting and recording them (the embedded stack).
"""

import json
import os
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypedDict

import obstore
import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from pipelines import object_store
from pipelines.db.connection import check_database
from pipelines.figures.runs import has_heartbeat
from pipelines.orchestration import code_server
from pipelines.settings import LakeSettings

# What the clients of the database, of the object store and of HTTP raise when the other side isn't there.
UNREACHABLE = (OSError, psycopg.Error, obstore.exceptions.BaseError, BotoCoreError, ClientError)


class Process(TypedDict):
    """One process of the stack; healthy when it answers, the daemon when it has shown a sign of life of late.

    `restarts` counts since `up` was started. An older record has neither that nor when it started.
    """

    name: str
    pid: int
    healthy: bool
    started_at: datetime | None
    restarts: int | None


def processes(settings: LakeSettings) -> list[Process]:
    """Return the processes that `wpp-lake up` recorded in the data directory; none where there is no such stack."""
    record = settings.wpp_lake_data_dir and settings.wpp_lake_data_dir / "processes.json"
    if record is None or not record.exists():
        return []
    return [
        {
            "name": each["name"],
            "pid": each["pid"],
            "healthy": _is_healthy(settings, each["name"], each["pid"]),
            "started_at": datetime.fromtimestamp(each["started"], UTC) if each.get("started") else None,
            "restarts": each.get("restarts"),
        }
        for each in json.loads(record.read_text())["processes"]
    ]


def ask_store(settings: LakeSettings, bucket: str) -> None:
    """Raise unless the object store lists a bucket at once; what reads from it is made to wait for it."""
    object_store.client(settings, object_store.FOR_A_QUESTION).list_objects_v2(Bucket=bucket, MaxKeys=1)


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
                return has_heartbeat(settings)
            case "postgres":
                check_database(settings)
            case "s3":
                ask_store(settings, settings.landing_bucket)
    except UNREACHABLE:
        return False
    return True


def _get(url: str) -> None:
    urllib.request.urlopen(url, timeout=2).close()  # noqa: S310  the stack's own http address
