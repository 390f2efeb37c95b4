"""Which paths exist, as the settings say: one contract or both, readiness and metrics on a port of their own."""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from mypy_boto3_s3 import S3Client
from receiver_process import CURRENT, FIRST, Receiver, admin, event, new_id, settings_env, spawned, start_receiver
from servers import S3, bucket

PATHS = ("/healthz", "/readyz", "/metrics")


@pytest.fixture(scope="module")
def store(s3_client: S3Client) -> Iterator[str]:
    """Make the bucket that the receivers land in."""
    with bucket(s3_client, "landing") as name:
        yield name


@pytest.fixture(scope="module", params=["current", "first", "first,current"])
def contracts(request: pytest.FixtureRequest, s3: S3, store: str) -> Iterator[tuple[str, Receiver]]:
    """Run a receiver that has these contracts."""
    with start_receiver(s3, store, RECEIVER_CONTRACTS=request.param) as receiver:
        yield request.param, receiver


def test_contracts(contracts: tuple[str, Receiver]) -> None:
    """A delivery is accepted where its contract is one of those, and else its path is not found."""
    named, receiver = contracts
    expected = {"current": [202, 404], "first": [404, 202], "first,current": [202, 202]}
    assert [receiver.deliver(new_id(), event(), path).status for path in (CURRENT, FIRST)] == expected[named]


def test_other_method_of_a_path_that_is_none(contracts: tuple[str, Receiver]) -> None:
    """A path that doesn't exist allows no other method either."""
    named, receiver = contracts
    expected = {"current": [405, 404], "first": [404, 405], "first,current": [405, 405]}
    assert [receiver.request("GET", path).status for path in (CURRENT, FIRST)] == expected[named]


@contextmanager
def with_admin_port(s3: S3, bucket: str, **env: str) -> Iterator[tuple[Receiver, Receiver]]:
    """Run a receiver with two ports: itself as seen on the public one, and on the other."""
    with start_receiver(s3, bucket, wait_ready=False, RECEIVER_ADMIN_PORT="0", **env) as receiver:
        yield receiver, admin(receiver)


@pytest.fixture(scope="module")
def ports(s3: S3, store: str) -> Iterator[tuple[Receiver, Receiver]]:
    """Run one for all of the tests."""
    with with_admin_port(s3, store) as both:
        yield both


def test_public_port(ports: tuple[Receiver, Receiver]) -> None:
    """Beside an admin port the public one has no readiness and no metrics."""
    public, _ = ports
    assert [public.request("GET", path).status for path in PATHS] == [200, 404, 404]


def test_admin_port(ports: tuple[Receiver, Receiver]) -> None:
    """The admin port has them, and takes no delivery."""
    _, admin = ports
    gets = [admin.request("GET", path).status for path in PATHS]
    assert (gets, admin.deliver(new_id(), event()).status) == ([200, 200, 200], 404)


def test_metrics_of_the_public_port(ports: tuple[Receiver, Receiver]) -> None:
    """What is counted on the public port is read on the other."""
    public, admin = ports
    public.deliver(new_id(), event())
    accepted = (
        'receiver_requests_total{contract="current",outcome="accepted",route="/api/webhooks/whatsapp",status="202"}'
    )
    exposition = admin.request("GET", "/metrics").body.decode()
    assert f"{accepted} 1.0" in exposition
    assert "receiver_requests_in_flight 1.0" in exposition  # itself, and none of those that were answered


def test_admin_host(s3: S3, store: str) -> None:
    """The admin port can be on another address than the public one."""
    with with_admin_port(s3, store, RECEIVER_ADMIN_HOST="127.0.0.2") as (public, admin):
        with socket.create_connection(("127.0.0.2", admin.port), 30) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        with pytest.raises(ConnectionRefusedError):
            admin.request("GET", "/metrics")
        assert (answer.split()[1], public.request("GET", "/healthz").status) == (b"200", 200)


def test_admin_port_taken(s3: S3, store: str) -> None:
    """A receiver that can't have its admin port ends with 1 and names that port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with spawned(settings_env(s3, store) | {"RECEIVER_ADMIN_PORT": str(port)}) as receiver:
            code, said = receiver.process.wait(30), receiver.said()
    assert (code, re.fullmatch(rf"receiver: cannot listen on 127.0.0.1:{port}: .*\n", said) is not None) == (1, True)
