"""The verb `notebooks`: the notebooks as pages, for people without a Jupyter.

Belongs here: arguments, what is printed. Not: running notebooks, and what their pages are (pages). Needs the
`notebooks` extra.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from pipelines import env_file
from pipelines.cli.options import DEFAULT_DATA_DIR, DataDir, fail, folder

app = typer.Typer()


@app.command("notebooks")
def notebooks(
    out: Annotated[
        Path, typer.Option(parser=folder, metavar="DIR", help="Where the pages go; made if it isn't there.")
    ],
    time_zone: Annotated[
        str | None, typer.Option(metavar="NAME", help="On whose clock times are; without it America/Sao_Paulo.")
    ] = None,
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Run every notebook on the lake's snapshots, and write each as one HTML page that needs no other file."""
    if not os.environ.get("SNAPSHOT_BUCKET"):
        env_file.ensure(data_dir)
    try:
        from pipelines import notebook, pages
    except ModuleNotFoundError:
        fail("what runs notebooks isn't installed", "pip install 'wpp-lake[notebooks]'")
    try:
        zone = time_zone or notebook.TIME_ZONE
        notebook.connect(zone).close()
        notebook.dates("whatsapp_events")
    except ValueError as error:
        fail(str(error), "names are those of the IANA database, as America/Sao_Paulo")
    except notebook.NoSnapshotError as error:
        fail(str(error), "`wpp-lake load` and `wpp-lake snapshot` write them, as Dagster does every 10 minutes")
    for page in pages.write(out, time_zone=zone):
        print(page, flush=True)
