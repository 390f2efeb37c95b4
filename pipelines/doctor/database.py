"""The lake's database: whether it answers, its schema, and what the pipelines' role may do in it.

Belongs here: the lake's database. Not: Dagster's (daemon_health), how much there is on its disk (disk).
"""

from collections.abc import Iterator

import psycopg

from pipelines.db.connection import Connection
from pipelines.db.migrations import SchemaError, check_schema, why
from pipelines.db.queries import query
from pipelines.doctor.findings import Finding, failure, note, ok
from pipelines.settings import LakeSettings

CHECK = "database"
TIMEOUT_SECONDS = 5


def check(settings: LakeSettings) -> Iterator[Finding]:
    """Connect as the pipelines do, and look at the schema and the role."""
    try:
        conn = psycopg.connect(settings.conninfo, autocommit=True, connect_timeout=TIMEOUT_SECONDS)
    except psycopg.Error as error:
        yield failure(CHECK, why(error, settings.conninfo), "Start PostgreSQL, or set DATABASE_URL right")
        return
    with conn:
        yield ok(CHECK, f"PostgreSQL {conn.info.server_version // 10_000} answers")
        yield from _schema(conn)
        yield from _role(conn)


def _schema(conn: Connection) -> Iterator[Finding]:
    try:
        check_schema(conn)
    except SchemaError as error:
        found, _, remedy = str(error).partition(": ")
        yield failure("schema", found, remedy)
    else:
        yield ok("schema", "it is the one that this wpp-lake knows")


def _role(conn: Connection) -> Iterator[Finding]:
    role, is_superuser, may_change = conn.execute(query("doctor/role")).fetchone() or ("", False, False)
    lacking = [right for (right,) in conn.execute(query("doctor/lacking_rights"))]
    if lacking:
        yield failure("role", f"{role} lacks {len(lacking)} rights that loading needs: {', '.join(lacking[:5])}",
                      "Run deploy/roles.sql again, and connect as wpp_loader")  # fmt: skip
    elif is_superuser or may_change:
        yield note(
            "role", f"{role} {'is a superuser' if is_superuser else 'may change the schema'}, which no pipeline needs",
            "On a server of your own: connect as wpp_loader of deploy/roles.sql",
        )  # fmt: skip
    else:
        yield ok("role", f"{role} may do what loading needs, and change no schema")
