"""The firewall of `deploy/`, loaded into a network namespace, as another host sees it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from uuid import uuid4

import debian
import pytest
from project import ROOT
from senders import wait_for

pytestmark = pytest.mark.server

RULES = ROOT / "deploy" / "nftables.conf"
HELD = 32
# Listens on ports, and keeps each connection until the other side closes it.
LISTEN = """
import asyncio, sys

async def keep(reader, writer):
    await reader.read()
    writer.close()

async def main():
    for port in sys.argv[1:]:
        await asyncio.start_server(keep, "", int(port))
    print("listening", flush=True)
    await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""
# Connects to a port so many times, keeps the connections, and prints how many there are.
CONNECT = """
import socket, sys
held = []
try:
    for _ in range(int(sys.argv[2])):
        held.append(socket.create_connection(("10.203.0.1", int(sys.argv[1])), timeout=3))
except OSError:
    pass
print(len(held))
"""


def ip(*words: str) -> None:
    """Run iproute2's ip."""
    subprocess.run([debian.program("ip", "iproute2"), *words], check=True, capture_output=True)


def within(namespace: str, *words: str) -> list[str]:
    """Return a command that runs in a network namespace."""
    return [debian.program("ip", "iproute2"), "netns", "exec", namespace, *words]


@pytest.fixture(scope="module")
def stranger() -> Iterator[str]:
    """Make two hosts on one wire: a server with the firewall that listens on some ports, and a stranger."""
    assert os.geteuid() == 0, "network namespaces take root: run this as root"
    server, other = (f"wpp-{end}-{uuid4().hex[:6]}" for end in ("server", "other"))
    for namespace in (server, other):
        ip("netns", "add", namespace)
    try:
        ip("-n", server, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", other)
        for namespace, address in ((server, "10.203.0.1/24"), (other, "10.203.0.2/24")):
            ip("-n", namespace, "address", "add", address, "dev", "wire")
            ip("-n", namespace, "link", "set", "wire", "up")
            ip("-n", namespace, "link", "set", "lo", "up")
        nft = debian.program("nft", "nftables")
        for _ in range(2):  # again without effect
            subprocess.run(within(server, nft, "--file", str(RULES)), check=True)
        listening = within(server, sys.executable, "-c", LISTEN, "22", "80", "443", "3000", "5432", "8080", "8081")
        with subprocess.Popen(listening, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            assert process.stdout.readline() == b"listening\n"
            yield other
            process.communicate()
    finally:
        for namespace in (server, other):
            ip("netns", "delete", namespace)


def connected(stranger: str, port: int, times: int) -> int:
    """Return how many of so many connections the stranger gets."""
    return int(subprocess.check_output(within(stranger, sys.executable, "-c", CONNECT, str(port), str(times))))


@pytest.mark.parametrize("port", [22, 80, 443])
def test_what_is_open(stranger: str, port: int) -> None:
    """Ssh and Caddy are reached."""
    assert connected(stranger, port, 1) == 1


@pytest.mark.parametrize("port", [3000, 5432, 8080, 8081])
def test_what_is_closed(stranger: str, port: int) -> None:
    """Whatever else listens isn't, even on all addresses."""
    assert connected(stranger, port, 1) == 0


def test_connections_per_source_are_bounded(stranger: str) -> None:
    """One source holds so many connections to Caddy at a time, and can connect again when those are closed."""
    assert connected(stranger, 443, HELD + 8) == HELD
    wait_for(lambda: connected(stranger, 443, 1) == 1, "another connection")


def test_ssh_is_not_counted_with_them(stranger: str) -> None:
    """Whoever holds all of them still comes in by ssh."""
    assert connected(stranger, 22, HELD + 8) == HELD + 8
