"""The verb `wpp-lake expire`.

Belongs here: its arguments and what it prints. Not: the expiry itself (privacy).
"""

import getpass
import json
from typing import Annotated

import typer

from pipelines.cli.options import DEFAULT_DATA_DIR, By, DataDir, connect_lake, read_settings
from pipelines.landing.hours import read_day

app = typer.Typer()
REFERENCE = "expire"


@app.command()
def expire(
    before: Annotated[
        str, typer.Option(metavar="DATE", help="A UTC date, as 2026-05-21: what was received before it goes.")
    ],
    by: By = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Remove what was received before a date from landing zone, tables and snapshots, for ever. Asks nothing.

    The list of erasures says so first: what was ended goes on with the next one, and what is restored isn't loaded.
    """
    settings, day = read_settings(data_dir), read_day(before)
    with connect_lake(data_dir) as conn:
        from pipelines.privacy.expiry import expire as carry_out

        done = carry_out(settings, conn, day, REFERENCE, by or getpass.getuser())
    erasure = done.erasure
    until = erasure.until.date().isoformat() if erasure and erasure.until else before
    if as_json:
        shown = {"expiry": erasure.id if erasure else None, "before": until}
        print(json.dumps(shown | {"counts": done.counts, "seconds": done.seconds}))
        return
    counts = [f"{count:,} {name.replace('_', ' ')}" for name, count in done.counts.items() if count]
    print(f"expired before {until}: {', '.join(counts) or 'nothing is left of it'}")
