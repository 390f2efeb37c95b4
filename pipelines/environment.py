"""The stack's environment file: the KEY=value lines that `wpp-lake up` leaves for other processes.

Belongs here: reading them into this process's environment, and what must not be there beside them. Not: what the
settings mean (settings).
"""

import os
from pathlib import Path


class NoStackError(Exception):
    """Neither the environment nor the data directory says where the lake is."""


def read(data_dir: Path) -> dict[str, str]:
    """Return `<data_dir>/env`. Raises NoStackError."""
    try:
        lines = os.fsdecode((data_dir / "env").read_bytes()).split("\n")
    except OSError:
        raise NoStackError(
            f"no lake found: DATABASE_URL isn't set and {data_dir / 'env'} isn't there (has `wpp-lake up` run?)"
        ) from None
    return dict(line.split("=", 1) for line in lines if "=" in line)


def ensure(data_dir: Path) -> None:
    """Leave the environment as it is where it names a lake, else fill it from the data directory.

    Raises NoStackError.
    """
    if not os.environ.get("DATABASE_URL"):
        found = read(data_dir)
        forget_foreign_settings()
        os.environ.update(found)


def forget_blanks() -> None:
    """Take blanks off the AWS_* variables, and out those that are nothing else: some clients take them for values."""
    for name, value in list(os.environ.items()):
        if name.startswith("AWS_") and not value.strip():
            os.environ.pop(name, None)
        elif name.startswith("AWS_") and value != value.strip():
            os.environ[name] = value.strip()


def forget_foreign_settings() -> None:
    """Take out of the environment what would lead clients to other services, or to a proxy; and what is blank."""
    for name, value in list(os.environ.items()):
        if name.startswith(("AWS_", "PG", "WEED_")) or name.lower().endswith("_proxy") or not value.strip():
            del os.environ[name]
