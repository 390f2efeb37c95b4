"""Fixtures: a real PostgreSQL and a real S3 server, started once a session and thrown away with it.

Belongs here: servers, databases and buckets for every test. Not: helpers that only one test file needs.
"""

import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from devstack import seaweed
from devstack.postgres import Postgres
from devstack.seaweed import Seaweed
from devstack.waiting import free_ports, wait_until
from pipelines.db.migrations import migrate

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

TEMPLATE = "wpp_lake_template"


@contextmanager
def running(command: Sequence[str], folder: Path, stop_signal: signal.Signals) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server in `folder`, its output in a log file beside it, until the block ends."""
    with folder.with_suffix(".log").open("ab") as log:
        server = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    with server:
        try:
            yield server
        finally:
            server.send_signal(stop_signal)


@pytest.fixture(scope="session")
def servers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that holds both servers' data and logs."""
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres_server(servers_folder: Path) -> Iterator[Postgres]:
    """Run an embedded PostgreSQL, which syncs nothing to the disk: each test makes a database, no power is cut."""
    server = Postgres(servers_folder / "postgres", free_ports(1)[0], "test-password")
    server.initialise()
    with running([*server.command(), "--fsync=off"], server.folder, signal.SIGINT):
        wait_until(server.check, "PostgreSQL")
        yield server


class S3(Seaweed):
    """An embedded S3 server whose one identity may do everything, such as creating a test's buckets."""

    region = seaweed.REGION


@pytest.fixture(scope="session")
def s3(servers_folder: Path) -> Iterator[S3]:
    """Run an embedded SeaweedFS: `endpoint`, `access_key`, `secret_key`, `region`."""
    server = S3(servers_folder / "s3", free_ports(5), "test-access-key", "test-secret-key", ("ready",), admin=True)
    server.initialise()
    with running(server.command(), server.folder, signal.SIGTERM):
        client = server.client()
        wait_until(lambda: server.check(client), "SeaweedFS")
        client.close()
        yield server


@pytest.fixture(scope="session")
def s3_client(s3: S3) -> Iterator["S3Client"]:
    """Return a boto3 client of the S3 server."""
    client = s3.client()
    yield client
    client.close()


@pytest.fixture
def landing_client(s3_client: "S3Client") -> "S3Client":
    """Return the client with which tests look into the landing bucket."""
    return s3_client


@contextmanager
def bucket(client: "S3Client", purpose: str) -> Iterator[str]:
    """Make a bucket that takes writes; remove it and its volumes afterwards."""
    name = f"{purpose}-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=name)
    wait_until(lambda: seaweed.check_bucket(client, name), f"bucket {name}")
    yield name
    client.delete_bucket(Bucket=name)  # this server deletes the objects with it


@pytest.fixture(scope="session")
def buckets(s3_client: "S3Client") -> Iterator[dict[str, str]]:
    """Make the two buckets of a lake; a new one takes its first object a quarter of a second later."""
    with bucket(s3_client, "landing") as landing, bucket(s3_client, "snapshots") as snapshots:
        yield {"landing": landing, "snapshots": snapshots}


def emptied(client: "S3Client", name: str) -> str:
    """Remove what is in a bucket; return its name."""
    while found := client.list_objects_v2(Bucket=name).get("Contents"):
        client.delete_objects(Bucket=name, Delete={"Objects": [{"Key": each["Key"]} for each in found]})
    return name


@pytest.fixture
def landing_bucket(s3_client: "S3Client", buckets: dict[str, str]) -> str:
    """Empty the landing bucket."""
    return emptied(s3_client, buckets["landing"])


@pytest.fixture
def snapshot_bucket(s3_client: "S3Client", buckets: dict[str, str]) -> str:
    """Empty the snapshot bucket."""
    return emptied(s3_client, buckets["snapshots"])


@pytest.fixture(scope="session")
def template_database(postgres_server: Postgres) -> str:
    """Return the name of a database that has every migration and no rows."""
    postgres_server.create_databases([TEMPLATE])
    migrate(postgres_server.url(TEMPLATE))
    return TEMPLATE


@contextmanager
def database(postgres_server: Postgres, template_database: str) -> Iterator[str]:
    """Make a fresh, migrated database; yield its libpq URI."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    clone = sql.SQL("create database {} template {} strategy file_copy")
    drop = sql.SQL("drop database {} with (force)")
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(clone.format(sql.Identifier(name), sql.Identifier(template_database)))
        yield postgres_server.url(name)
        connection.execute(drop.format(sql.Identifier(name)))


@pytest.fixture
def database_url(postgres_server: Postgres, template_database: str) -> Iterator[str]:
    """Return the libpq URI of a fresh, migrated database."""
    with database(postgres_server, template_database) as url:
        yield url
