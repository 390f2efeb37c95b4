"""What the data folder keeps from one start to the next: its lock, the secrets and ports that were made, `env`.

Belongs here: files of the data folder that belong to no single server. Not: what the servers do with them.
"""

import fcntl
import json
import os
import secrets
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from devstack.errors import StackError
from devstack.waiting import free_ports, is_free


@dataclass(frozen=True)
class State:
    """The secrets and ports that were made for this data folder, and that nobody else knows."""

    postgres_password: str
    s3_access_key: str
    s3_secret_key: str
    webhook_secret: str
    postgres_port: int
    s3_ports: tuple[int, ...]

    @classmethod
    def load(cls, folder: Path, reserved: Collection[int]) -> Self:
        """Return the folder's state, made now if there is none. If a port is taken or `reserved`, all are replaced."""
        file = folder / "state.json"
        kept = json.loads(file.read_text()) if file.exists() else _new_secrets() | _new_ports(reserved)
        state = cls(**kept | {"s3_ports": tuple(kept["s3_ports"])})
        if not all(is_free(port) and port not in reserved for port in (state.postgres_port, *state.s3_ports)):
            state = replace(state, **_new_ports(reserved))
        write_private(file, json.dumps(asdict(state), indent=2) + "\n")
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


def _new_secrets() -> dict[str, Any]:
    names = ("postgres_password", "s3_access_key", "s3_secret_key", "webhook_secret")
    return {name: secrets.token_hex(24) for name in names}


def _new_ports(reserved: Collection[int]) -> dict[str, Any]:
    postgres, *s3 = [port for port in free_ports(6 + len(reserved)) if port not in reserved][:6]
    return {"postgres_port": postgres, "s3_ports": tuple(s3)}
