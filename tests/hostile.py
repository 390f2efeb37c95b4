"""The hostile requests of `data/hostile.jsonl`: exact socket bytes, and the status that each deserves.

Belongs here: reading the cases and sending one. Not: the server they are sent to.
"""

import base64
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factories import sign

CASES = Path(__file__).parent / "data" / "hostile.jsonl"
PATIENCE_SECONDS = 12.0

CLOSED = 0  # closed without an answer
HANGING = -1  # neither answered nor closed in time


@dataclass(frozen=True)
class Case:
    """One hostile request: its bytes (or the recipe of a large one) and the statuses that are right."""

    name: str
    section: str
    accepted: frozenset[int]
    why: str
    raw: bytes | None
    recipe: dict[str, Any] | None
    half_close: bool

    def request(self) -> bytes:
        """Return the bytes to send."""
        return self.raw if self.raw is not None else _large(self.recipe or {})


def cases() -> list[Case]:
    """Return every case of the file."""
    return [_case(json.loads(line)) for line in CASES.read_text(encoding="utf-8").removesuffix("\n").split("\n")]


def send(case: Case, port: int) -> int:
    """Send one case to 127.0.0.1; return the status of the first answer, CLOSED or HANGING."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) as connection:
        connection.settimeout(PATIENCE_SECONDS)
        with suppress(ConnectionError):  # refused while sending: the answer may already be there
            connection.sendall(case.request())
            if case.half_close:
                connection.shutdown(socket.SHUT_WR)
        return _status(connection)


def _case(fields: dict[str, Any]) -> Case:
    return Case(
        name=fields["name"],
        section=fields["section"],
        accepted=frozenset({fields["expect"], *fields["accept"]}),
        why=fields["why"],
        raw=base64.b64decode(fields["raw_b64"]) if "raw_b64" in fields else None,
        recipe=fields.get("gen"),
        half_close=fields.get("close") == "shutdown_write",
    )


def _large(recipe: dict[str, Any]) -> bytes:
    head = (
        b'{"type":"chats.update","chat_jid":"120363000999000001@g.us","payload":{"id":"120363000999000001@g.us","pad":"'
    )
    body = head + b"x" * (recipe["size"] - len(head) - 3) + b'"}}'
    signature = sign(body, recipe["id"])
    headers = (
        f"POST {recipe['path']} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"X-Signature: {signature if recipe['sign'] else '0' * 64}\r\nX-Event-Id: {recipe['id']}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return b"%b%b" % (headers.encode(), body)


def _status(connection: socket.socket) -> int:
    received = b""
    try:
        while b"\r\n\r\n" not in (received := _without_interim(received)) and (chunk := connection.recv(65536)):
            received += chunk
    except TimeoutError:
        return HANGING
    except ConnectionError:
        pass
    return int(received.split()[1]) if received.startswith(b"HTTP/") else CLOSED


def _without_interim(received: bytes) -> bytes:
    """Drop an answer like `100 Continue`, which announces the real one."""
    if received.startswith(b"HTTP/1.1 100") and b"\r\n\r\n" in received:
        return received.split(b"\r\n\r\n", 1)[1]
    return received
