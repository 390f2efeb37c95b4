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
REFERENCE = "expire"  # where no ticket says so


@app.command()
def expire(  # noqa: PLR0913, PLR0917  as many as there are options
    before: Annotated[
        str, typer.Option(metavar="DATE", help="A UTC date, as 2026-05-21: what was received before it goes.")
    ],
    content: Annotated[
        bool, typer.Option("--content", help="Content alone: type, people and times stay. Needs ERASURE_KEY.")
    ] = False,
    reference: Annotated[str, typer.Option(metavar="TICKET", help="On whose word it is done.")] = REFERENCE,
    by: By = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Remove what was received before a date from landing zone, tables and snapshots, for ever. Asks nothing.

    The list of erasures says so first: what was ended goes on with the next one, and what is restored isn't loaded.
    """
    settings, day = read_settings(data_dir), read_day(before)
    with connect_lake(data_dir) as conn:
        from pipelines.privacy.content_expiry import expire_content
        from pipelines.privacy.expiry import expire as expire_all

        done = (expire_content if content else expire_all)(settings, conn, day, reference, by or getpass.getuser())
    erasure = done.erasure
    until = erasure.until.date().isoformat() if erasure and erasure.until else before
    if as_json:
        shown = {"expiry": erasure.id if erasure else None, "before": until}
        print(json.dumps(shown | {"counts": done.counts, "seconds": done.seconds}))
        return
    counts = [f"{count:,} {name.replace('_', ' ')}" for name, count in done.counts.items() if count]
    what = "content expired" if content else "expired"
    print(f"{what} before {until}: {', '.join(counts) or 'nothing is left of it'}")
