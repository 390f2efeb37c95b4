"""Migrations: each is applied once, whole or not at all, by one process at a time, also where dbmate began."""

import os
import re
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from devstack.postgres import Postgres
from devstack.waiting import wait_until
from pipelines.db.migrations import MigrationError, migrate
from pipelines.db.queries import query, steps

TABLES = "select table_name::text from information_schema.tables where table_schema = 'public' order by 1"
FILLED = "select relname::text from pg_class where 'fillfactor=70' = any(reloptions) order by 1"
WAITING = """
    select from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock' and query like '-- ' || %s || '%%'"""
# What dbmate applied before this package did it itself, in its order, and the table that it kept.
BY_DBMATE = ["20261123000000_lake", "20261124000000_quarantine_resolved_at", "20261124120000_room_for_updates"]
TABLE_OF_DBMATE = "create table schema_migrations (version varchar primary key)"
MIGRATE = "import os; from pipelines.db.migrations import migrate; migrate(os.environ['DATABASE_URL'])"


@pytest.fixture
def empty_database(postgres_server: Postgres) -> str:
    """Make an empty database; return its URL."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    postgres_server.create_databases([name])
    return postgres_server.url(name)


def column(url: str, statement: str) -> list[str]:
    """Return the only column of a query."""
    with psycopg.connect(url) as connection:
        return [value for (value,) in connection.execute(statement.encode())]


def tables(url: str) -> list[str]:
    """Return the names of a database's tables."""
    return column(url, TABLES)


def versions(url: str) -> list[str]:
    """Return the versions that a database has recorded."""
    return column(url, "select version from schema_migrations order by 1")


def all_versions() -> list[str]:
    """Return the numbers of the migrations' files."""
    return [file.removeprefix("migrations/")[:14] for file in steps("migrations")]


def migrated_by_dbmate(url: str, files: list[str]) -> None:
    """Bring an empty database to where dbmate had it after these files."""
    with psycopg.connect(url) as connection:
        connection.execute(TABLE_OF_DBMATE)
        for file in files:
            connection.execute(query(f"migrations/{file}"))
            connection.execute("insert into schema_migrations values (%s)", [file[:14]])


@contextmanager
def migrating(url: str) -> Iterator["subprocess.Popen[str]"]:
    """Run a process that migrates, until the block ends."""
    command = [sys.executable, "-c", MIGRATE]
    environment = {**os.environ, "DATABASE_URL": url}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def check_waiting(url: str, comment: str, sessions: int) -> None:
    """Raise unless so many sessions wait for a lock in the statements that begin with this comment."""
    with psycopg.connect(url) as connection:
        waiting = connection.execute(WAITING, [comment]).rowcount
    if waiting != sessions:
        raise LookupError(f"{waiting} sessions wait")


def test_migrating_again_changes_nothing(empty_database: str) -> None:
    migrate(empty_database)
    first = tables(empty_database)
    migrate(empty_database)
    assert tables(empty_database) == first
    assert "whatsapp_events" in first


@pytest.mark.parametrize("options", ["", "?options=-c%20default_transaction_isolation%3Dserializable"])
def test_several_at_once_wait_for_each_other(empty_database: str, options: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(migrate, [empty_database + options] * 4)) == [None] * 4
    assert "whatsapp_events" in tables(empty_database)
    assert versions(empty_database) == all_versions()


def test_a_second_process_waits_until_the_first_one_is_done(empty_database: str) -> None:
    migrated_by_dbmate(empty_database, BY_DBMATE[:2])
    with psycopg.connect(empty_database) as other, migrating(empty_database) as first:
        other.execute("lock table whatsapp_groups")
        wait_until(lambda: check_waiting(empty_database, "Room in the pages", 1), "the first")
        with migrating(empty_database) as second:
            wait_until(lambda: check_waiting(empty_database, "Wait until nobody else migrates", 1), "the second")
            other.rollback()
            assert (first.wait(60), second.wait(60)) == (0, 0)
    assert versions(empty_database) == all_versions()


@pytest.mark.parametrize(
    ("held", "waits_at"),
    [
        ("whatsapp_groups", "Room in the pages"),  # the last of the three tables that this migration changes
        ("schema_migrations in exclusive mode", "Record a migration"),  # may be read, but not written
    ],
    ids=["within a migration", "before it is recorded"],
)
def test_a_killed_process_leaves_nothing_behind_and_blocks_nobody(
    empty_database: str, held: str, waits_at: str
) -> None:
    migrated_by_dbmate(empty_database, BY_DBMATE[:2])
    with psycopg.connect(empty_database) as other:
        other.execute(f"lock table {held}".encode())
        with migrating(empty_database) as process:
            wait_until(lambda: check_waiting(empty_database, waits_at, 1), "the migration")
            process.kill()
        wait_until(lambda: check_waiting(empty_database, waits_at, 0), "the end of its session")
        assert column(empty_database, FILLED) == []
    assert versions(empty_database) == ["20261123000000", "20261124000000"]
    migrate(empty_database)
    assert column(empty_database, FILLED) == ["whatsapp_groups", "whatsapp_participant_jids", "whatsapp_participants"]
    assert versions(empty_database) == all_versions()


@pytest.mark.parametrize(
    "files", [BY_DBMATE[:0], BY_DBMATE[:1], BY_DBMATE[:2], BY_DBMATE, BY_DBMATE[::2]], ids=["0", "1", "2", "3", "1, 3"]
)
def test_a_database_that_dbmate_migrated_gets_what_it_lacks(empty_database: str, files: list[str]) -> None:
    migrated_by_dbmate(empty_database, files)
    if files:
        with psycopg.connect(empty_database) as connection:
            connection.execute("insert into event_days values ('2026-11-25')")
    migrate(empty_database)
    assert versions(empty_database) == all_versions()
    assert column(empty_database, FILLED) == ["whatsapp_groups", "whatsapp_participant_jids", "whatsapp_participants"]
    assert column(empty_database, "select resolved_at from quarantined_events") == []
    assert len(column(empty_database, "select received_on from event_days")) == bool(files)


def test_a_newer_database_is_refused_by_name_and_left_alone(empty_database: str) -> None:
    migrated_by_dbmate(empty_database, BY_DBMATE[:1])
    with psycopg.connect(empty_database) as connection:
        connection.execute("insert into schema_migrations values ('20990101000000'), ('20990102000000')")
    with pytest.raises(MigrationError, match="doesn't know: 20990101000000, 20990102000000"):
        migrate(empty_database)
    assert versions(empty_database) == ["20261123000000", "20990101000000", "20990102000000"]


def test_a_migration_that_fails_is_named_and_leaves_nothing_behind(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("create table quarantined_events ()")
    with pytest.raises(MigrationError, match='20261123000000_lake: relation "quarantined_events" already exists'):
        migrate(empty_database)
    assert tables(empty_database) == ["quarantined_events"]


@pytest.mark.parametrize(
    "form",
    [
        "host=127.0.0.1 port={port} dbname={name} user=wpp_lake password='test-password'",
        "postgresql://wpp_lake:test-password@127.0.0.1:{port}/{name}?sslmode=prefer&application_name=x",
        "postgresql://wpp_lake:test%2Dpassword@127.0.0.1:9,127.0.0.1:{port}/{name}",
        "service=lake dbname={name}",
    ],
    ids=["words", "uri", "two hosts", "service"],
)
def test_every_form_of_connection_string_is_taken(
    postgres_server: Postgres, empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    service = ("[lake]", "host=127.0.0.1", f"port={postgres_server.port}", "user=wpp_lake", "password=test-password")
    (tmp_path / "services.conf").write_text("\n".join(service))
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services.conf"))
    migrate(form.format(port=postgres_server.port, name=empty_database.rsplit("/", 1)[1]))
    assert "whatsapp_events" in tables(empty_database)


def test_a_schema_of_its_own_is_taken_from_the_search_path(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("create schema lake")
    migrate(f"{empty_database}?options=-c%20search_path%3Dlake")
    assert column(empty_database, "select version from lake.schema_migrations order by 1") == all_versions()
    assert tables(empty_database) == []


def test_a_database_that_is_not_there_is_said(postgres_server: Postgres) -> None:
    with pytest.raises(MigrationError, match="no_such_database"):
        migrate(postgres_server.url("no_such_database"))


@pytest.mark.parametrize(
    "form",
    [
        "postgresql://wpp_lake:not-the-password@127.0.0.1:{port}/wpp_lake_template",
        "postgres//wpp_lake:not-the-password@127.0.0.1:{port}/wpp_lake_template",
        "postgresql://wpp_lake:100%not-the-password@127.0.0.1:{port}/wpp_lake_template",
        "postgresql://wpp_lake:in@not-the-password@127.0.0.1:{port}/wpp_lake_template",
        "postgresql://127.0.0.1:{port}/not-the-password@127.0.0.1?user=wpp_lake&password=test-password",
        "host=127.0.0.1 port={port} user=wpp_lake password=with not-the-password",
    ],
    ids=["wrong", "no scheme", "percent", "at", "slash", "blank"],
)
def test_the_password_is_not_said(postgres_server: Postgres, form: str) -> None:
    with pytest.raises(MigrationError) as refused:
        migrate(form.format(port=postgres_server.port))
    assert "not-the-password" not in str(refused.value)


def test_every_file_has_a_number_of_its_own_and_a_name_in_words() -> None:
    names = [file.removeprefix("migrations/") for file in steps("migrations")]
    assert [name for name in names if not re.fullmatch(r"20\d{12}_[a-z0-9_]+", name)] == []
    assert [version for version, files in Counter(all_versions()).items() if files > 1] == []


def test_every_file_begins_by_saying_what_it_does_and_has_no_markers() -> None:
    texts = {file: query(file).decode() for file in steps("migrations")}
    assert [file for file, text in texts.items() if not re.match(r"-- [A-Z]", text)] == []
    assert [file for file, text in texts.items() if "-- migrate:" in text] == []
