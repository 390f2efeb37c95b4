"""The stack's environment file: the KEY=value lines that `wpp-lake up` leaves for other processes.

Belongs here: reading them into this process's environment. Not: what the settings mean (settings).
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
    """Leave the environment as it is where it names a lake, else fill it from the data directory."""
    if "DATABASE_URL" not in os.environ:
        os.environ.update(read(data_dir))
