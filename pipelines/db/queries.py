"""Gives the SQL of the `sql/` folder by its file's name, and runs it. No SQL is written in Python."""

from collections.abc import Iterable
from functools import cache
from importlib import resources

from psycopg import sql

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


def filled(name: str, **parts: sql.Composable) -> sql.Composed:
    """Return the text of `sql/<name>.sql` with `parts` in the place of the names that stand in braces in it."""
    return sql.SQL(query(name).decode()).format(**parts)


def names(columns: Iterable[str], table: str | None = None) -> sql.Composed:
    """Return a list of columns, to fill in; with the name of their table before each, if it is given."""
    qualified = ([table, column] if table else [column] for column in columns)
    return sql.SQL(", ").join(sql.Identifier(*each) for each in qualified)


def run_steps(conn: Connection, folder: str, **parts: sql.Composable) -> None:
    """Run a folder's numbered steps, filled with `parts`."""
    for step in steps(folder):
        conn.execute(filled(step, **parts))
