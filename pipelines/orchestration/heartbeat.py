"""The heartbeat: calls HEARTBEAT_URL about once a minute while all is well, since a dead machine tells nobody.

Belongs here: what counts as well, and the call. Not: which disk is low (doctor.disk). It is a sensor, so that a dead
daemon or code server ends it too, and there is one only where HEARTBEAT_URL is set: a tick isn't free.
"""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg

from pipelines import object_store
from pipelines.db.connection import Connection
from pipelines.db.queries import query
from pipelines.doctor.disk import disks, lowness
from pipelines.errors import first_line
from pipelines.figures.waiting import LONGEST_WAIT
from pipelines.loading.alarms import count_alarms
from pipelines.orchestration.outbound import call
from pipelines.orchestration.resources import Lake
from pipelines.settings import LakeSettings
from receiver.landing import PREFIX, hour_prefix


@dg.sensor(
    name="heartbeat",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Calls HEARTBEAT_URL while all is well; a tick says why it didn't.",
)
def heartbeat(lake: dg.ResourceParam[Lake]) -> dg.SkipReason:
    """Call while nothing is wrong; it asks for no run, and never fails."""
    try:
        settings = lake.settings()
        wrong = next(_wrong(settings), None)
        if wrong is None and settings.heartbeat_url:
            wrong = call(str(settings.heartbeat_url.get_secret_value()), "HEARTBEAT_URL")
    except Exception as error:  # noqa: BLE001  whatever it is, not all is well
        wrong = f"{type(error).__name__}: {first_line(error)}"
    return dg.SkipReason(wrong or "all is well")


heartbeats = [heartbeat] if os.environ.get("HEARTBEAT_URL") else []


def _wrong(settings: LakeSettings) -> Iterator[str]:
    """Yield what is wrong. Raises where the database or a bucket doesn't answer."""
    yield from (lowness(disk) for disk in disks(settings) if disk["low"])
    if why := call(settings.wpp_lake_readyz_url or f"{settings.wpp_lake_receiver_url}/readyz", "the receiver"):
        yield why
    with psycopg.connect(settings.conninfo, connect_timeout=2) as conn:
        alarms, oldest = count_alarms(conn), _waits_since(conn, settings)
    if any(alarms):
        yield str(alarms)
    if oldest and oldest < datetime.now(UTC) - LONGEST_WAIT:
        yield f"landing files have been waiting for a load since {oldest.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _waits_since(conn: Connection, settings: LakeSettings) -> datetime | None:
    """Return since when landing files have waited for a load, as far as a cheap question tells.

    Keys ascend with time, so the first that the ledger can't have is the one after its greatest; what is older than
    that a listing has noted.
    """
    upto = {"before": hour_prefix(datetime.now(UTC) + timedelta(hours=1))}
    newest, noted = conn.execute(query("load/newest"), upto).fetchone() or (None, None)
    with closing(object_store.client(settings, object_store.FOR_A_QUESTION)) as client:
        client.list_objects_v2(Bucket=settings.snapshot_bucket, MaxKeys=1)
        after = client.list_objects_v2(
            Bucket=settings.landing_bucket, Prefix=f"{PREFIX}date=", StartAfter=newest or PREFIX, MaxKeys=1
        )
    return min([*(each["LastModified"] for each in after.get("Contents", [])), *filter(None, [noted])], default=None)
