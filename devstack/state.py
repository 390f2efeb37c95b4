"""The state that the data folder keeps from one start to the next: its lock, the secrets and ports made, `env`.

Belongs here: files of the data folder that belong to no single server. Not: what the servers do with them.
"""

import fcntl
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field

from devstack.errors import StackError
from devstack.waiting import free_ports, is_free

_make_secret = partial(secrets.token_hex, 24)


KEPT = {"postgres_password", "webhook_secret"}  # others know them: the database, a collector


class State(BaseModel, frozen=True, hide_input_in_errors=True):
    """The secrets and ports that were made for this data folder, and that nobody else knows."""

    postgres_password: str = Field(default_factory=_make_secret)
    receiver_access_key: str = Field(default_factory=_make_secret)
    receiver_secret_key: str = Field(default_factory=_make_secret)
    s3_access_key: str = Field(default_factory=_make_secret)
    s3_secret_key: str = Field(default_factory=_make_secret)
    webhook_secret: str = Field(default_factory=_make_secret)
    postgres_port: int = 0
    s3_ports: tuple[int, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the folder's state as it is."""
        return cls.model_validate_json((folder / "state.json").read_bytes())

    @classmethod
    def load(cls, folder: Path, reserved: Collection[int]) -> Self:
        """Return the folder's state, made now if there is none. If a port is taken or `reserved`, all are replaced.

        Raises StackError for a file that lacks what can't be made anew: a password would not be that of the database.
        """
        file = folder / "state.json"
        state = cls.read(folder) if file.exists() else cls()
        if file.exists() and (lacking := KEPT - state.model_fields_set):
            raise StackError(f"{file} lacks {', '.join(sorted(lacking))}")
        ports = (state.postgres_port, *state.s3_ports)
        if not all(port and is_free(port) and port not in reserved for port in ports):
            postgres, *s3 = free_ports(6, reserved)
            state = state.model_copy(update={"postgres_port": postgres, "s3_ports": tuple(s3)})
        write_private(file, state.model_dump_json(indent=2) + "\n")
        return state


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which ends with this process, however that ends. Raises StackError if it is taken."""
    with (folder / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StackError(f"another `wpp-lake up` (process {lock.read()}) runs in {folder}") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def write_environment(file: Path, values: Mapping[str, str]) -> None:
    """Write KEY=value lines, the values as they are. Raises StackError for a value of several lines."""
    broken = [key for key, value in values.items() if "\n" in value or "\r" in value]
    if broken:
        raise StackError(f"{', '.join(broken)} must be one line")
    write_private(file, "".join(f"{key}={value}\n" for key, value in values.items()))


def write_private(file: Path, text: str) -> None:
    """Replace a file that only its owner may read, in one step."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.touch(mode=0o600)
    with unfinished.open("wb") as out:
        out.write(os.fsencode(text))
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(file)
