"""The database roles of `deploy/`: each does its work with the project's own code, and nothing else."""

import asyncio
import re
from collections.abc import Iterator

import psycopg
import pytest
from factories import RECEIVED, SECRET, event, line
from mypy_boto3_s3 import S3Client
from pydantic import SecretStr
from roles import url
from servers import S3

from devstack.postgres import Postgres
from pipelines.db.migrations import MigrationError, migrate
from pipelines.db.queries import query
from pipelines.landing.zone import LandingZone
from pipelines.loading.load import rebuild
from pipelines.loading.quarantine import discard, entries
from pipelines.orchestration.metrics import Metrics
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.write import write_snapshots
from receiver.landing import new_key

COUNTS = """select (select count(*) from whatsapp_events), (select count(*) from quarantined_events),
                   (select count(*) from landing_files)"""


@pytest.fixture
def loaded(
    roles: Postgres, s3: S3, s3_client: S3Client, landing_bucket: str, snapshot_bucket: str
) -> Iterator[LakeSettings]:
    """Land two events, one of which no reader can use, and load them as the loader."""
    settings = LakeSettings(
        database_url=SecretStr(url(roles, "wpp_loader")),
        whatsapp_webhook_secret=SecretStr(SECRET),
        landing_bucket=landing_bucket,
        snapshot_bucket=snapshot_bucket,
        aws_endpoint_url_s3=s3.endpoint,
        aws_access_key_id=SecretStr(s3.access_key),
        aws_secret_access_key=SecretStr(s3.secret_key),
        aws_region=s3.region,
    )
    s3_client.put_object(Bucket=landing_bucket, Key=new_key(RECEIVED), Body=line(event()) + b"no line\n")
    with psycopg.connect(settings.conninfo, autocommit=True) as connection:
        assert rebuild(connection, LandingZone(settings), "test").loaded == 1
    yield settings
    with psycopg.connect(settings.conninfo, autocommit=True) as connection:
        connection.execute(query("load/empty"))


@pytest.mark.usefixtures("loaded")
def test_the_loader_loads(roles: Postgres) -> None:
    """Rows, quarantine and ledger are there, and the reader sees them."""
    with psycopg.connect(url(roles, "wpp_reader")) as connection:
        assert connection.execute(COUNTS).fetchone() == (1, 1, 1)


def test_the_reader_is_enough_for_the_metrics(
    roles: Postgres, loaded: LakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("landing_bucket", "aws_endpoint_url_s3", "aws_region"):
        monkeypatch.setenv(name.upper(), getattr(loaded, name))
    key, secret, _ = loaded.store_keys or ("", "", None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    monkeypatch.setenv("DATABASE_URL", url(roles, "wpp_reader"))
    text = asyncio.run(Metrics().text()).decode()
    assert re.findall(r"^(wpp_lake_up|wpp_lake_quarantined_lines).* (\S+)$", text, re.MULTILINE) == [
        ("wpp_lake_up", "1.0"),
        ("wpp_lake_quarantined_lines", "1.0"),
    ]


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("role", ["wpp_loader", "wpp_reader"])
def test_readers_read_the_views_in_their_own_time_zone(roles: Postgres, role: str) -> None:
    """Views and their functions are the owner's."""
    with psycopg.connect(url(roles, role)) as connection:
        connection.execute("set wpp_lake.time_zone = 'UTC'")
        asked = "select sent_at = sent_at_local at time zone 'UTC', text from whatsapp_messages"
        assert connection.execute(asked).fetchall() == [(True, "oi")]
        assert connection.execute("select count(*) from whatsapp_membership_changes").fetchone() == (0,)


def test_the_loader_writes_snapshots(loaded: LakeSettings) -> None:
    """All files of a date, and the ledger of them."""
    written = [file.rows for file in write_snapshots(loaded, SnapshotStore(loaded), RECEIVED.date())]
    assert written == [1]


def test_the_loader_retries_and_discards(loaded: LakeSettings) -> None:
    """The quarantine's verbs work."""
    with psycopg.connect(loaded.conninfo, autocommit=True) as connection:
        [entry] = [found["id"] for found in entries(connection, "open")]
        discard(connection, [entry], by="test", reason="no line")
        assert [found["id"] for found in entries(connection, "discarded")] == [entry]


# What a role must not do, each with a statement that would do it.
FORBIDDEN = {
    "wpp_loader": [
        "drop table whatsapp_events",
        "alter table whatsapp_events add column more text",
        "alter table whatsapp_events disable trigger all",
        "truncate whatsapp_events",
        "create table more (number integer)",
        "create function more() returns integer language sql as 'select 1'",
        "create index on whatsapp_events (payload)",
        "insert into schema_migrations values ('1')",
        "delete from schema_migrations",
        "drop table schema_migrations",
        "create role more",
        "create database more",
        "create schema more",
        "set role wpp_owner",
        "copy whatsapp_groups to program 'true'",
        "select pg_read_file('/etc/passwd')",
    ],
    "wpp_reader": [
        "insert into event_days (received_on) values ('2026-05-21')",
        "update whatsapp_events set payload = 'null'",
        "delete from whatsapp_events",
        "truncate whatsapp_events",
        "select * from whatsapp_events for update",
        "drop table whatsapp_events",
        "create table more (number integer)",
        "create temp table more (number integer)",
        "select * from schema_migrations",
        "set role wpp_loader",
    ],
}


@pytest.mark.parametrize(
    ("role", "statement"), [(role, each) for role, statements in FORBIDDEN.items() for each in statements]
)
def test_what_a_role_must_not_do(roles: Postgres, role: str, statement: str) -> None:
    """Refused for want of the right, also where a reader has switched its read-only default off."""
    with psycopg.connect(url(roles, role), autocommit=True) as connection:
        connection.execute("set default_transaction_read_only = off")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement.encode())


@pytest.mark.parametrize("role", ["wpp_loader", "wpp_reader"])
def test_only_the_owner_migrates(roles: Postgres, role: str) -> None:
    """`wpp-lake migrate` with another role's DATABASE_URL says that it may not."""
    with pytest.raises(MigrationError, match=r"permission denied|read-only"):
        migrate(url(roles, role))


def test_tables_to_come_are_written_by_the_loader_and_read_by_the_reader(roles: Postgres) -> None:
    """As a migration of the owner's makes them."""
    with psycopg.connect(url(roles, "wpp_owner"), autocommit=True) as owner:
        owner.execute("create table to_come (number integer generated always as identity)")
        try:
            with psycopg.connect(url(roles, "wpp_loader"), autocommit=True) as loader:
                loader.execute("insert into to_come default values")
            with psycopg.connect(url(roles, "wpp_reader"), autocommit=True) as reader:
                assert reader.execute("select number from to_come").fetchall() == [(1,)]
                reader.execute("set default_transaction_read_only = off")
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute("delete from to_come")
        finally:
            owner.execute("drop table to_come")


def test_a_readers_transactions_are_read_only_and_bounded(roles: Postgres) -> None:
    """A question that somebody forgets ends by itself."""
    names = ("default_transaction_read_only", "statement_timeout", "idle_in_transaction_session_timeout")
    with psycopg.connect(url(roles, "wpp_reader")) as connection:
        assert [connection.execute(f"show {name}".encode()).fetchone() for name in names] == [
            ("on",), ("10min",), ("10min",)
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("role", "database"),
    [("wpp_dagster", "wpp_lake"), *[(role, "wpp_dagster") for role in ("wpp_owner", "wpp_loader", "wpp_reader")]],
)
def test_dagsters_database_and_the_lakes_are_apart(roles: Postgres, role: str, database: str) -> None:
    """The webserver, which knows Dagster's database, doesn't reach the people's messages by it."""
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url(roles, role, database))


def test_dagster_makes_its_own_tables(roles: Postgres) -> None:
    """Its database is its own."""
    with psycopg.connect(url(roles, "wpp_dagster", "wpp_dagster")) as connection:
        connection.execute("create table runs (number integer)")
