"""Gives the SQL of the `sql/` folder by its file's name, and runs it. No SQL is written in Python."""

from functools import cache
from importlib import resources

from pipelines.db.connection import Connection


@cache
def query(name: str) -> bytes:
    """Return the text of `sql/<name>.sql`."""
    return (resources.files("sql") / f"{name}.sql").read_bytes()


@cache
def steps(folder: str) -> tuple[str, ...]:
    """Return the names of a folder's numbered steps, in their order."""
    files = (resources.files("sql") / folder).iterdir()
    return tuple(sorted(f"{folder}/{file.name.removesuffix('.sql')}" for file in files if file.name[0].isdigit()))


def run_steps(conn: Connection, folder: str) -> None:
    """Run a folder's numbered steps."""
    for step in steps(folder):
        conn.execute(query(step))
