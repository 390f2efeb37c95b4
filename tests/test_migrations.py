"""Migrations: applied once, under a lock, and back."""

import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib import resources

import psycopg
import pytest

from devstack.postgres import Postgres
from pipelines.migrations import MigrationError, migrate

TABLES = "select table_name::text from information_schema.tables where table_schema = 'public' order by 1"


@pytest.fixture
def empty_database(postgres_server: Postgres) -> str:
    """Make an empty database; return its URL."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    postgres_server.create_databases([name])
    return postgres_server.url(name)


def tables(url: str) -> list[str]:
    """Return the names of a database's tables."""
    with psycopg.connect(url) as connection:
        return [name for (name,) in connection.execute(TABLES)]


def test_migrating_again_changes_nothing(empty_database: str) -> None:
    migrate(empty_database)
    first = tables(empty_database)
    migrate(empty_database)
    assert tables(empty_database) == first
    assert "whatsapp_events" in first


def test_several_at_once_wait_for_each_other(empty_database: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(migrate, [empty_database] * 4)) == [None] * 4
    assert "whatsapp_events" in tables(empty_database)


def test_every_form_of_connection_string_is_taken(postgres_server: Postgres, empty_database: str) -> None:
    name = empty_database.rsplit("/", 1)[1]
    migrate(
        f"host=127.0.0.1 port={postgres_server.port} dbname={name} user=wpp_lake password='{postgres_server.password}'"
    )
    assert "whatsapp_events" in tables(empty_database)


def test_every_way_up_has_its_way_down(empty_database: str) -> None:
    migrate(empty_database)
    files = sorted((resources.files("sql") / "migrations").iterdir(), key=lambda file: file.name, reverse=True)
    with psycopg.connect(empty_database) as connection:
        for file in files:
            connection.execute(re.split(r"^-- migrate:down$", file.read_text(), flags=re.MULTILINE)[1].encode())
    assert tables(empty_database) == ["schema_migrations"]


def test_a_database_that_is_not_there_is_said(postgres_server: Postgres) -> None:
    with pytest.raises(MigrationError, match="no_such_database"):
        migrate(postgres_server.url("no_such_database"))


def test_the_password_is_not_said(postgres_server: Postgres) -> None:
    with pytest.raises(MigrationError) as refused:
        migrate(f"postgresql://wpp_lake:not-the-password@127.0.0.1:{postgres_server.port}/wpp_lake_template")
    assert "not-the-password" not in str(refused.value)
