"""The order of the verbs in the help, each with an example, and what counts for all of them: version, how much is said.

Belongs here: what a person sees of the command as a whole. Not: a verb (main, audit, quarantine).
"""

import logging
import os
import platform
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.models import CommandInfo, TyperInfo

from pipelines.cli.options import colours
from pipelines.parsing.extraction import RULES_VERSION

# By panel of the help, in its order: each verb with an example.
PANELS = {
    "A lake on this machine": {
        "demo": "wpp-lake demo --once",
        "up": "wpp-lake up --receiver-port 8081",
        "env": 'eval "$(wpp-lake env)"',
    },
    "How it is": {
        "status": "wpp-lake status --watch",
        "doctor": "wpp-lake doctor",
        "verify": "wpp-lake verify --hour 2026-05-21-06:00",
        "reconcile": "wpp-lake reconcile --full",
        "trace": "wpp-lake trace 019e48bd-8340-7000-8000-000000000000",
    },
    "Events to tables and files": {
        "send": "wpp-lake send devstack/sample/requests.jsonl",
        "load": "wpp-lake load --hour 2026-05-21-06:00 --to 2026-05-21-09:00",
        "snapshot": "wpp-lake snapshot --date 2026-05-21",
        "quarantine": "wpp-lake quarantine ls --reason not_authentic",
        "rebuild": "wpp-lake rebuild",
    },
    "Reading": {
        "sql": 'wpp-lake sql "select type, count(*) from whatsapp_events group by type"',
        "notebooks": "wpp-lake notebooks --out pages",
    },
    "Forgetting": {
        "erase": "wpp-lake erase plan +5511987654321",
        "export": "wpp-lake export +5511987654321 --reference TICKET-1 --out person.md",
        "expire": "wpp-lake expire --before 2026-05-21",
    },
    "Upkeep": {
        "migrate": "wpp-lake migrate",
        "prune": "wpp-lake prune --days 30",
    },
}
ORDER = [name for verbs in PANELS.values() for name in verbs]


def _show_version(wanted: bool) -> None:  # noqa: FBT001  typer calls it so
    if wanted:
        python = f"{platform.python_implementation()} {platform.python_version()}"
        print(f"wpp-lake {version('wpp-lake')} (rules {RULES_VERSION}, {python})")
        raise typer.Exit


def options(
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Say no more than results, warnings and errors.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say more; of an error the whole traceback.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Take WhatsApp group events in, lose none, and make them usable: receiver, landing zone, tables, Parquet."""
    if quiet:
        _set_level(logging.WARNING)
        os.environ["WPP_LAKE_QUIET"] = "1"  # no progress bar
    if verbose:
        _set_level(logging.DEBUG)
        os.environ["WPP_LAKE_TRACEBACK"] = "1"


class Verb(TyperCommand):
    """A verb whose help says FILE, HOUR, DATE, and nothing of a language's types."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as a person reads them."""
        return [_in_words(each) for each in super().get_params(ctx)]


class Verbs(TyperGroup):
    """A group of verbs, the same."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, as a person reads them."""
        return [_in_words(each) for each in super().get_params(ctx)]


def _in_words(param: Any) -> Any:
    """Take a parameter's type out of its help: an argument's name says it, a flag has none, a choice is its words."""
    if isinstance(param, TyperArgument) or param.is_flag:
        vars(param)["display_type_rich"] = lambda ctx: ""  # noqa: ARG005  as it is called
    elif param.metavar is None and param.type_descriptor.is_choice:
        param.metavar = "|".join(map(str, param.type_descriptor.choices or ()))
    return param


def begin_logging() -> None:
    """Have what the packages say go to stderr, a line each."""
    logging.basicConfig(format="%(message)s")
    _set_level(logging.INFO)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # it warns of what is raised all the same


def _set_level(level: int) -> None:
    for ours in ("pipelines", "devstack"):
        logging.getLogger(ours).setLevel(level)


def arrange(app: typer.Typer) -> None:
    """Put the verbs into their panels, in order, each with its example."""
    for group in (app, *(each.typer_instance for each in app.registered_groups)):
        if group:
            group.info.cls = Verbs
            for command in group.registered_commands:
                command.cls = Verb
    if not colours():
        from typer import rich_utils

        rich_utils.COLOR_SYSTEM = None
    for found in (app.registered_commands, app.registered_groups):
        for each in found:
            for panel, verbs in PANELS.items():
                if (name := _name(each)) in verbs:
                    each.rich_help_panel, each.epilog = panel, f"Example: {verbs[name]}"
    app.registered_commands.sort(key=lambda each: ORDER.index(_name(each)))


def _name(verb: CommandInfo | TyperInfo) -> str:
    return str(verb.name or getattr(verb.callback, "__name__", ""))
