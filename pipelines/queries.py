"""Gives the SQL of the `sql/` folder by its file's name. No SQL is written in Python."""

from functools import cache
from importlib import resources


@cache
def query(name: str) -> bytes:
    """Return the text of `sql/<name>.sql`."""
    return (resources.files("sql") / f"{name}.sql").read_bytes()


@cache
def load_steps() -> tuple[str, ...]:
    """Return the names of the numbered load steps, in their order."""
    files = (resources.files("sql") / "load").iterdir()
    return tuple(sorted(f"load/{file.name.removesuffix('.sql')}" for file in files if file.name[0].isdigit()))
