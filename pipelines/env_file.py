"""The stack's environment file: the KEY=value lines that `wpp-lake up` leaves for other processes.

Belongs here: reading them into this process's environment, and what must not be there beside them. Not: what the
settings mean (settings).
"""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from pipelines.errors import WppLakeError

SECRET = "WHATSAPP_WEBHOOK_SECRET"  # noqa: S105  (a variable's name, as the next ones)
RECEIVER = "receiver.env"  # in the data directory: the receiver's key, which `env` doesn't have
PREVIOUS, RETIRED = "WHATSAPP_WEBHOOK_PREVIOUS_SECRETS", "WHATSAPP_WEBHOOK_RETIRED_SECRETS"


class NoStackError(WppLakeError):
    """Neither the environment nor the data directory says where the lake is."""


class SecretListError(WppLakeError, ValueError):
    """A variable that lists webhook secrets holds no list; the message names the variable."""


def read(data_dir: Path) -> dict[str, str]:
    """Return `<data_dir>/env`. Raises NoStackError."""
    try:
        lines = os.fsdecode((data_dir / "env").read_bytes()).split("\n")
    except OSError:
        raise NoStackError(
            f"no lake found: DATABASE_URL isn't set and {data_dir / 'env'} isn't there (has `wpp-lake up` run?)"
        ) from None
    return dict(line.split("=", 1) for line in lines if "=" in line)


def read_quoted(file: Path) -> dict[str, str]:
    """Return the KEY=value lines of a file as systemd takes them, with comments, values quoted or not."""
    words = shlex.split(file.read_text(), comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)


def ensure(data_dir: Path) -> None:
    """Leave the environment as it is where it names a lake, else fill it from the data directory.

    The webhook secrets of the environment, whatever their rank, count beside those of the data directory: lines may be
    signed with any of them. Raises NoStackError, SecretListError.
    """
    if not os.environ.get("DATABASE_URL"):
        found = read(data_dir)
        known = secrets(found)
        others = [secret for secret in secrets(os.environ) if secret not in known]
        forget_foreign_settings()
        os.environ.update(found)
        if others:
            os.environ[RETIRED] = json.dumps([*_listed(found, RETIRED), *others])


def secrets(variables: Mapping[str, str]) -> list[str]:
    """Return every webhook secret that these variables name, the present one first. Raises SecretListError."""
    present = variables.get(SECRET, "")
    every = [present, *_listed(variables, PREVIOUS), *_listed(variables, RETIRED)]
    return [secret for secret in dict.fromkeys(every) if secret.strip()]


def _listed(variables: Mapping[str, str], name: str) -> list[str]:
    try:
        listed = json.loads(variables.get(name, "").strip() or "[]")
    except ValueError:
        listed = None
    if not isinstance(listed, list) or not all(isinstance(secret, str) for secret in listed):
        raise SecretListError(f"{name}: must be a JSON list of strings")
    return listed


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
