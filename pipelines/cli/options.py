"""The options that several verbs share, the settings they lead to, and how a verb fails.

Belongs here: what a verb needs before it begins its work. Not: a verb.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from pipelines import env_file
from pipelines.errors import WppLakeError, first_line
from pipelines.settings import LakeSettings

if TYPE_CHECKING:
    from pipelines.db.connection import Connection


def folder(text: str) -> Path:
    """Read a folder from the command line; an empty text, a shell's unset variable, would be the one it runs in."""
    if not text:
        raise typer.BadParameter("is empty")
    return Path(text)


DataDir = Annotated[
    Path,
    typer.Option(
        parser=folder, metavar="DIR", help="Where `up` keeps everything; used where the environment names no lake."
    ),
]
Hour = Annotated[str | None, typer.Option(metavar="HOUR", help="One UTC hour, as 2026-05-21-06:00.")]
UntilHour = Annotated[
    str | None, typer.Option("--to", metavar="HOUR", help="With --hour: all hours until this one, included.")
]
UntilDate = Annotated[
    str | None, typer.Option("--to", metavar="DATE", help="With --date: all dates until this one, included.")
]
By = Annotated[str | None, typer.Option(metavar="NAME", help="Who says so; without it the user of this machine.")]
DEFAULT_DATA_DIR = Path(".wpp-lake")
_TRIED = "`wpp-lake doctor` tries what the lake stands on"
_STORE = f"does the object store run, and take the key? {_TRIED}"
# By the name of an error's class, for importing the classes takes long.
HINTS = {
    "OperationalError": f"does PostgreSQL run where DATABASE_URL leads? {_TRIED}",
    "BotoCoreError": _STORE,
    "ClientError": _STORE,
    "BaseError": _STORE,
}


def colours() -> Literal["auto"] | None:
    """Return rich's system of colours: none, and nothing bold either, where NO_COLOR is set."""
    return None if os.environ.get("NO_COLOR") else "auto"


def connect_lake(data_dir: Path) -> "Connection":
    """Connect to the lake's database, in autocommit mode."""
    from pipelines.db.connection import connect

    return connect(read_settings(data_dir))


def read_settings(data_dir: Path) -> LakeSettings:
    """Read the settings from the environment, else from the data directory."""
    env_file.ensure(data_dir)
    return LakeSettings.from_environment()


def check_range(begin: str | None, end: str | None, option: str) -> None:
    """Fail where a range has an end and no beginning, or ends before it; their keys ascend as the times do."""
    if end and not begin:
        fail(f"--to needs {option}, where the range begins")
    if end and begin and end < begin:
        fail(f"{end} is before {begin}")


def explained(error: Exception) -> tuple[str, str]:
    """Return what is said of an error, and the hint that goes with it, empty where there is none."""
    if isinstance(error, WppLakeError):
        return str(error), ""
    hint = next((HINTS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in HINTS), "")
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}", hint
    return f"{type(error).__name__}: {first_line(error)}", hint


def fail(message: str, hint: str = "") -> NoReturn:
    """End with one line on stderr, and another one with a hint if there is one, and exit code 1."""
    sys.exit(f"wpp-lake: {' '.join(message.split())}" + (f"\nhint: {hint}" if hint else ""))
