"""The verb `sql`: questions to all snapshots, for people without a notebook.

Belongs here: reading statements, printing what they give. Not: which views there are (notebook). Needs the `notebooks`
extra.
"""

import csv
import json
import os
import sys
from contextlib import suppress
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines import env_file
from pipelines.cli.options import DEFAULT_DATA_DIR, DataDir, fail
from pipelines.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

MOST_SHOWN = 1_000  # rows of a table; the other forms have all of them
app = typer.Typer()


class Form(StrEnum):
    """The forms of a result."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


@app.command("sql")
def sql(
    statement: Annotated[
        str | None,
        typer.Argument(metavar="SELECT", help="A statement; without it a prompt, each statement to its `;`."),
    ] = None,
    form: Annotated[
        Form, typer.Option("--format", help="How rows are printed; JSON is one object a line.")
    ] = Form.TABLE,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Ask DuckDB over all snapshots: a view per table, events of every date, the others as they are now."""
    if not os.environ.get("SNAPSHOT_BUCKET"):
        env_file.ensure(data_dir)
    lake = _connect()
    if not lake.sql("select 1 from duckdb_views() where not internal").fetchone():
        print("no snapshots yet, so no tables: `wpp-lake snapshot` writes them", file=sys.stderr)
    for text in _typed() if statement is None else [statement]:
        try:
            statements = lake.extract_statements(text)
            for each in statements:
                _print(lake, each, form)
            if not statements:
                print("no statement", file=sys.stderr)
        except _error() as error:
            if statement is not None or not sys.stdin.isatty():
                fail(f"{type(error).__name__}: {first_line(error)}")
            print(error, file=sys.stderr)


def _connect() -> "duckdb.DuckDBPyConnection":
    try:
        from pipelines import notebook

        return notebook.connect()
    except ModuleNotFoundError:
        fail("DuckDB isn't installed: pip install 'wpp-lake[notebooks]'")


def _error() -> "type[duckdb.Error]":
    import duckdb

    return duckdb.Error


def _typed() -> "Iterator[str]":
    """Yield what is typed, or piped in, up to each line that ends with a semicolon."""
    is_typed, gathered, is_asked = sys.stdin.isatty(), "", False
    if is_typed:
        with suppress(ImportError):
            import readline  # noqa: F401  lines can be edited and called back
        print("Tables: show tables; columns: describe whatsapp_events; end: Ctrl-D.", file=sys.stderr)
    while True:
        try:
            gathered += input(("    ...> " if gathered else "wpp-lake> ") if is_typed else "") + "\n"
        except EOFError:
            break
        if gathered.rstrip().endswith(";"):
            yield gathered
            gathered, is_asked = "", True
    if gathered.strip() or not (is_typed or is_asked):
        yield gathered


def _print(lake: "duckdb.DuckDBPyConnection", statement: "duckdb.Statement", form: Form) -> None:
    """Run a statement, and print its rows, if it has some."""
    found: duckdb.DuckDBPyRelation | None = lake.sql(statement)
    if found is None:
        print("done", file=sys.stderr)
        return
    if form is Form.TABLE:
        width = os.get_terminal_size().columns if sys.stdout.isatty() else 200
        found.show(max_rows=MOST_SHOWN, max_width=width)
        return
    first = found.fetchone()
    rows = chain([first], iter(found.fetchone, None)) if first else iter(())
    if first is None:
        print("no rows", file=sys.stderr)
    if form is Form.CSV:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(found.columns)
        writer.writerows(rows)
    else:
        for row in rows:
            print(json.dumps(dict(zip(found.columns, row, strict=True)), default=str, ensure_ascii=False))
