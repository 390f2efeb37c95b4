"""A lake with two days, of which the first one expires; and what its tools say of it."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
from erasing import landed
from factories import RECEIVED, SECRET, event_id
from lake import Lake
from psycopg import sql

from pipelines.audit.reconcile import Report, reconcile
from pipelines.audit.verify import verify
from pipelines.landing.authenticity import Verifier
from pipelines.landing.hours import today
from pipelines.loading.alarms import alarms
from pipelines.loading.load import load
from pipelines.privacy.removal import remove
from pipelines.settings import LakeSettings
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.schemas import SCHEMAS
from pipelines.snapshots.write import write_snapshots

OLD, NEW = RECEIVED, datetime(2026, 5, 22, 10, 0, 1, tzinfo=UTC)
BEFORE = date(2026, 5, 22)


def with_id(request: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a request of the sample under another event id."""
    return request | {"headers": request["headers"] | {"X-Event-Id": event_id(f"{name} {request['headers']}")}}


def age(lake: Lake, sample: list[dict[str, Any]], order: tuple[datetime, ...] = (OLD, NEW)) -> None:
    """Land the sample on one day; on the next one some of it as other events, and some events again, one twice."""
    lines = [landed(each, OLD) for each in sample]
    for start in range(0, len(lines), 50):
        lake.land(*lines[start : start + 50], at=OLD)
    lake.land(b"open\n", b"discarded\n", at=OLD)
    lake.land(*(landed(with_id(each, "new"), NEW) for each in sample[:40]), b"stays\n", at=NEW)
    lake.land(*(landed(each, NEW) for each in sample[100:110]), landed(sample[100], NEW), at=NEW)
    for hour in order:
        load(lake.connection, lake.zone, [hour], "run")
    lake.connection.execute("update quarantined_events set state = 'discarded' where raw = 'discarded'")
    for day in (OLD.date(), NEW.date(), today()):
        list(write_snapshots(lake.settings, lake.snapshots, day, tuple(SCHEMAS)))
        write_catalogue(lake.settings, lake.snapshots, day)


def compared(lake: Lake) -> Report:
    """Compare everything."""
    return reconcile(lake.connection, lake.zone, lake.snapshots, full=True)


def differences(lake: Lake) -> list[str]:
    """Return what verify, whose lines are all ours but for those without sense, and reconcile find."""
    verifier = Verifier([SECRET.encode()], lake.settings.erasure_key_bytes)
    _, failures = verify(lake.connection, lake.zone, verifier)
    wrong = [each for each in failures if "malformed" not in each]
    return wrong + [str(each) for each in compared(lake).differences] + [each.key for each in alarms(lake.connection)]


def dump(lake: Lake) -> Callable[[], None]:
    """Keep the tables as they are now; return what restores them."""
    tables = [name for (name,) in lake.rows("select tablename from pg_tables where schemaname = 'public'")]
    lake.connection.execute("create schema dump")
    for name in tables:
        lake.connection.execute(f"create table dump.{name} as table public.{name}".encode())

    def restore() -> None:
        with lake.connection.transaction():
            lake.connection.execute("set local session_replication_role = replica")
            for name in tables:
                lake.connection.execute(sql.SQL("delete from public.{}").format(sql.Identifier(name)))
                lake.connection.execute(sql.SQL("insert into public.{0} table dump.{0}").format(sql.Identifier(name)))

    return restore


@pytest.fixture
def own_bucket(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Give the lake a landing bucket that no other test has, for one that keeps versions."""
    bucket = f"versioned-{uuid4()}"
    lake.client.create_bucket(Bucket=bucket)
    monkeypatch.setenv("LANDING_BUCKET", bucket)
    lake.settings = LakeSettings.from_environment()
    lake.zone = type(lake.zone)(lake.settings)
    yield bucket
    remove(lake.client, bucket, "", lambda _: True)
    lake.client.delete_bucket(Bucket=bucket)
