"""Brings a database to the current schema: applies the files of `sql/migrations` that it lacks, each in a transaction.

Belongs here: which files are lacking, their order, what is said when one can't be applied, and refusing to work with
any other schema. Not: how a process waits for another (sql/schema_migrations/lock.sql), what the schema is
(sql/migrations).
"""

from collections.abc import Iterable

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from pipelines.db.connection import Connection
from pipelines.db.queries import query, steps
from pipelines.errors import WppLakeError

_UNREADABLE = "the connection string can't be read (in a URI, write @ in a password as %40, / as %2F, % as %25)"


class MigrationError(WppLakeError):
    """The database could not be brought to the current schema; the message says why, and never holds the password."""


class SchemaError(WppLakeError):
    """The database's schema is another than this code knows; the message says which, and what to do."""


def check_schema(conn: Connection) -> None:
    """Raise SchemaError unless the database has every migration that this code knows, and no other."""
    try:
        applied = _applied(conn)
    except errors.UndefinedTable:
        applied = []
    except errors.InsufficientPrivilege:
        raise SchemaError("the database's schema can't be told by this role: run deploy/roles.sql again") from None
    if unknown := _unknown(applied):
        raise SchemaError(
            f"the database's schema is newer than this wpp-lake, which doesn't know {', '.join(unknown)}: "
            "install a newer wpp-lake"
        )
    if lacking := sorted(_known() - set(applied)):
        raise SchemaError(
            f"the database's schema is older than this wpp-lake, and lacks {', '.join(lacking)}: run `wpp-lake migrate`"
        )


def migrate(database_url: str) -> None:
    """Apply the migrations that `database_url` (any libpq form) lacks; again without effect. Raises MigrationError."""
    with _connect(database_url) as conn:
        while _apply_next(conn):
            pass


def _connect(database_url: str) -> Connection:
    try:
        # nothing prepared: a pooler may run the next transaction in another session
        conn = psycopg.connect(database_url, autocommit=True, prepare_threshold=None)
    except psycopg.Error as error:
        raise MigrationError(why(error, database_url)) from None
    conn.isolation_level = psycopg.IsolationLevel.READ_COMMITTED  # after the wait for the lock, see what is there
    return conn


def why(error: psycopg.Error, database_url: str) -> str:
    """Return libpq's message, except where it may quote a password that has unescaped characters."""
    try:
        parts = conninfo_to_dict(database_url)
    except psycopg.Error:
        return _UNREADABLE
    cut_wrong = "://" in database_url and "@" in f"{parts.get('host')}{parts.get('dbname')}"
    return _UNREADABLE if cut_wrong else str(error).strip()


def _apply_next(conn: Connection) -> bool:
    """Apply the first lacking migration and record it, both or neither; return whether there was one."""
    step: str | None = None
    try:
        with conn.transaction():
            step = _next_step(conn)
            if step:
                conn.execute(query(step))
                conn.execute(query("schema_migrations/record"), {"version": _version(step)})
    except psycopg.Error as error:
        raise MigrationError(f"{step or 'schema_migrations'}: {error}") from error
    return step is not None


def _next_step(conn: Connection) -> str | None:
    """Wait for the lock, which the transaction keeps; return the first migration that the database lacks."""
    conn.execute(query("schema_migrations/lock"))
    conn.execute(query("schema_migrations/table"))
    applied = _applied(conn)
    if unknown := _unknown(applied):
        raise MigrationError(f"the database is newer than this wpp-lake, which doesn't know: {', '.join(unknown)}")
    return next((step for step in steps("migrations") if _version(step) not in applied), None)


def _applied(conn: Connection) -> list[str]:
    return [version for (version,) in conn.execute(query("schema_migrations/applied"))]


def _known() -> set[str]:
    return {_version(step) for step in steps("migrations")}


def _unknown(applied: Iterable[str]) -> list[str]:
    """Return the versions that this code doesn't know."""
    known = _known()
    return [version for version in applied if version not in known]


def _version(step: str) -> str:
    """Return the number of `migrations/<number>_<words>`."""
    return step.removeprefix("migrations/").partition("_")[0]
