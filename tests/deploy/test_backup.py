"""Backup and restore as docs/backup.md has them: nothing is lost, whichever of the two ways was taken."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import run

import psycopg
import pytest
from factories import event, line, message, participant
from lake import Lake
from pydantic import SecretStr
from roles import program

from devstack.postgres import Postgres
from pipelines.audit.reconcile import Difference, reconcile
from pipelines.db.migrations import migrate
from pipelines.loading.pending import list_everything, noted_hours
from pipelines.loading.quarantine import discard, entries
from pipelines.snapshots.stale import stale_dates
from pipelines.snapshots.write import write_snapshots

DEPLOY = Path(__file__).parents[2] / "deploy"
ASSIGNED = """
    select (select tenant_id::text || internal_name from whatsapp_groups),
           (select identity_id::text from whatsapp_participants where identity_id is not null),
           (select string_agg(tenant_id::text, ',') from whatsapp_events)"""
QUARANTINE = """
    select landing_key, line_number, reason, state, resolved_by, resolved_reason
    from quarantined_events order by 1, 2"""
LOSSES = "select key, lines, reason from landing_losses"


@pytest.fixture
def worked_with(lake: Lake) -> Lake:
    """Return a lake in which people have set what no landing file holds."""
    lake.land(line(event(message(participant(1))), 1), b"not json\n", b"neither\n")
    lake.load()
    discard(lake.connection, [entries(lake.connection)[0]["id"]], "ana", "a test")
    tenant = uuid.uuid4()
    lake.connection.execute("update whatsapp_groups set tenant_id = %s, internal_name = 'ours'", [tenant])
    lake.connection.execute("update whatsapp_participants set identity_id = %s", [tenant])
    lake.connection.execute("update whatsapp_events set tenant_id = %s", [tenant])
    lake.connection.execute(
        "insert into landing_losses (key, lines, accepted_by, reason) values ('whatsapp/lost.jsonl', 3, 'ana', 'test')"
    )
    return lake


@pytest.fixture
def empty_url(postgres_server: Postgres) -> Iterator[str]:
    """Return the address of a database with nothing in it."""
    name = f"restored_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create database {name}".encode())
        yield postgres_server.url(name)
        connection.execute(f"drop database {name} with (force)".encode())


def tool(name: str, *words: str, folder: Path, stdin: bytes | None = None) -> bytes:
    """Run one of PostgreSQL's own programs in a folder."""
    return run([program(name), *words], cwd=folder, input=stdin, capture_output=True, check=True).stdout


@contextmanager
def beside(lake: Lake, url: str) -> Iterator[Lake]:
    """Return the same buckets with another database."""
    settings = lake.settings.model_copy(update={"database_url": SecretStr(url)})
    with psycopg.connect(url, autocommit=True) as connection:
        yield Lake(settings, connection, lake.client)


def load_everything(lake: Lake) -> None:
    """Load what the ledger lacks."""
    list_everything(lake.connection, lake.zone)
    for hour in noted_hours(lake.connection):
        lake.load(hour)


def differences(lake: Lake) -> list[Difference]:
    """Load, write the snapshots, and compare everything."""
    load_everything(lake)
    for day in stale_dates(lake.connection):
        list(write_snapshots(lake.settings, lake.snapshots, day))
    return reconcile(lake.connection, lake.zone, lake.snapshots, full=True).differences


def test_an_empty_database_beside_the_landing_zone_with_what_was_kept(
    worked_with: Lake, empty_url: str, tmp_path: Path
) -> None:
    lake, url = worked_with, worked_with.settings.conninfo
    tables = ("--table=quarantined_events", "--table=landing_losses")
    kept = tool("pg_dump", "--format=custom", "--data-only", *tables, url, folder=tmp_path)
    tool("psql", url, "--file", str(DEPLOY / "keep_assigned.sql"), folder=tmp_path)
    before = [lake.rows(each) for each in (ASSIGNED, QUARANTINE, LOSSES)]
    lake.land(line(event(message(participant(2))), 2))
    migrate(empty_url)
    tool("pg_restore", "--data-only", "--dbname", empty_url, folder=tmp_path, stdin=kept)
    with beside(lake, empty_url) as there:
        load_everything(there)
        tool("psql", empty_url, "--single-transaction", "--file", str(DEPLOY / "restore_assigned.sql"), folder=tmp_path)
        assert differences(there) == []
        assert [there.rows(each) for each in (ASSIGNED, QUARANTINE, LOSSES)] == before
        assert there.rows("select count(*) from whatsapp_events") == [(2,)]


def test_an_older_dump_beside_a_newer_landing_zone(worked_with: Lake, empty_url: str, tmp_path: Path) -> None:
    lake = worked_with
    dump = tool("pg_dump", "--format=custom", lake.settings.conninfo, folder=tmp_path)
    lake.land(line(event(message(participant(2))), 2), line(event(message(participant(1))), 1))
    assert differences(lake) == []
    clean = ("--clean", "--if-exists", "--exit-on-error")
    tool("pg_restore", *clean, "--dbname", empty_url, folder=tmp_path, stdin=dump)
    migrate(empty_url)
    with beside(lake, empty_url) as there:
        assert differences(there) == []
        assert there.rows("select count(*), sum(deliveries)::int from whatsapp_events") == [(2, 3)]


def test_a_landing_zone_that_lacks_what_the_dump_knows_is_not_whole(
    worked_with: Lake, empty_url: str, tmp_path: Path
) -> None:
    lake = worked_with
    dump = tool("pg_dump", "--format=custom", lake.settings.conninfo, folder=tmp_path)
    [(key,)] = lake.rows("select key from landing_files")
    lake.client.delete_object(Bucket=lake.settings.landing_bucket, Key=key)
    tool("pg_restore", "--exit-on-error", "--dbname", empty_url, folder=tmp_path, stdin=dump)
    with beside(lake, empty_url) as there:
        assert ("missing", key) in [(each.kind, each.what) for each in differences(there)]
