"""Brings a database to the current schema: the plain SQL in `sql/migrations`, applied by dbmate under a lock."""

import os
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict


class MigrationError(Exception):
    """The database could not be brought to the current schema; the message is dbmate's own."""


def migrate(database_url: str) -> None:
    """Apply the migrations that `database_url` (any libpq form) lacks; again without effect. Raises MigrationError."""
    with resources.as_file(resources.files("sql") / "migrations") as folder:
        command = [_dbmate(), "--migrations-dir", str(folder), "--no-dump-schema", "--migration-lock", "migrate"]
        environment = {"PATH": os.environ.get("PATH", ""), "DATABASE_URL": _as_url(database_url)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603  the command is ours
    if done.returncode:
        raise MigrationError((done.stderr or done.stdout).strip())


def _dbmate() -> str:
    beside_python = Path(sys.executable).with_name("dbmate")
    return str(beside_python) if beside_python.exists() else shutil.which("dbmate") or "dbmate"


def _as_url(conninfo: str) -> str:
    """Return any libpq connection string as the URL form that dbmate takes."""
    parts = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    login = ":".join(quote(parts.pop(name), safe="") for name in ("user", "password") if name in parts)
    host, port = parts.pop("host", "127.0.0.1"), parts.pop("port", "5432")
    database = quote(parts.pop("dbname", "postgres"), safe="")
    if host.startswith("/"):
        parts["host"], host = host, ""
    if host in {"", "127.0.0.1", "localhost"}:
        parts.setdefault("sslmode", "disable")
    return f"postgres://{login}@{host}:{port}/{database}?{urlencode(parts)}"
