"""What was acknowledged is in the landing zone, however many receivers there are and however they end."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from fault_proxy import Gate, fault_proxy
from mypy_boto3_s3 import S3Client
from receiver_process import (
    CURRENT,
    admin,
    start_receiver,
)
from senders import (
    Load,
    Reckoning,
    closed_loop,
    metric,
    reckon,
    wait_for,
    wait_for_metric,
)
from servers import S3, bucket

from devstack.waiting import free_ports

NOTHING_AMISS = Reckoning()
ENOUGH = 400


def test_killed(s3: S3, landing_bucket: str) -> None:
    """Killed under load, the receiver has lost nothing that it acknowledged."""
    with start_receiver(s3, landing_bucket) as receiver, closed_loop(receiver.url) as load:
        load.wait_for_acknowledgements(ENOUGH)
        receiver.process.kill()
    assert reckon(load, s3, landing_bucket) == NOTHING_AMISS


@pytest.fixture(scope="module")
def stopped(s3: S3, s3_client: S3Client) -> Iterator[tuple[int, Load, Reckoning]]:
    """Stop a receiver under load with SIGTERM: its exit code, the load, and what it owes."""
    with bucket(s3_client, "landing") as name:
        with start_receiver(s3, name) as receiver, closed_loop(receiver.url) as load:
            load.wait_for_acknowledgements(ENOUGH)
            code = receiver.stop()
        yield code, load, reckon(load, s3, name)


def test_stopped(stopped: tuple[int, Load, Reckoning]) -> None:
    """Stopped under load, the receiver exits with 0."""
    assert stopped[0] == 0


def test_stopped_keeps_everything(stopped: tuple[int, Load, Reckoning]) -> None:
    """Stopped under load, it has lost nothing that it acknowledged."""
    assert stopped[2] == NOTHING_AMISS


def test_stopped_refuses_nothing(stopped: tuple[int, Load, Reckoning]) -> None:
    """It answered each event with an acknowledgement, or asked for one whose body was still on its way again."""
    assert set(stopped[1].answers) <= {202, 408}


# SIGTERM under load, while the store is slow

SENDERS = 16


@dataclass(frozen=True)
class Ending:
    """How a receiver ended under load."""

    code: int
    answers: Counter[int]  # since it was told to end, by status
    reckoning: Reckoning


def terminated(s3: S3, client: S3Client, *, silent: bool) -> Ending:
    """Stop a receiver with SIGTERM while each sender waits for a PUT, which gets through after that, or never."""
    gate = Gate()
    with bucket(client, "landing") as name, fault_proxy(s3) as proxy, start_receiver(proxy, name) as receiver:
        with closed_loop(receiver.url, senders=SENDERS) as load:
            load.wait_for_acknowledgements(100)
            proxy.always(gate)
            for _ in range(2):  # as many PUTs as the receiver has in flight
                gate.wait_for_a_request()
            wait_for_metric(receiver, SENDERS * load.body_bytes, "receiver_queue_bytes")
            before = load.answers.copy()
            receiver.process.send_signal(signal.SIGTERM)
            wait_for(lambda: "stopping" in receiver.said(), "the receiver to begin its end")
            if not silent:
                gate.open()
            code = receiver.process.wait(30)
        if silent:
            gate.open()
        return Ending(code, load.answers - before, reckon(load, s3, name))


@pytest.fixture(scope="module")
def terminated_when_slow(s3: S3, s3_client: S3Client) -> Ending:
    """Stop a receiver while its store is slow."""
    return terminated(s3, s3_client, silent=False)


@pytest.fixture(scope="module")
def terminated_when_silent(s3: S3, s3_client: S3Client) -> Ending:
    """Stop a receiver while its store is silent."""
    return terminated(s3, s3_client, silent=True)


def test_terminated(terminated_when_slow: Ending) -> None:
    """It acknowledges to each sender what it had received, and exits with 0."""
    assert (terminated_when_slow.code, terminated_when_slow.answers[202] >= SENDERS) == (0, True)


def test_terminated_keeps_everything(terminated_when_slow: Ending) -> None:
    """What it acknowledged is landed."""
    assert terminated_when_slow.reckoning == NOTHING_AMISS


@pytest.mark.slow
def test_terminated_while_silent(terminated_when_silent: Ending) -> None:
    """It tells each sender to come again, and exits with 0."""
    assert (terminated_when_silent.code, terminated_when_silent.answers[503] >= SENDERS) == (0, True)


@pytest.mark.slow
def test_terminated_while_silent_keeps_everything(terminated_when_silent: Ending) -> None:
    """What it acknowledged before is landed."""
    assert terminated_when_silent.reckoning == NOTHING_AMISS


# Several receivers


def test_two_on_one_bucket(s3: S3, landing_bucket: str) -> None:
    """Two receivers land in one bucket without harm to each other."""
    with start_receiver(s3, landing_bucket) as one, start_receiver(s3, landing_bucket) as other:
        with closed_loop(one.url, other.url) as load:
            load.wait_for_acknowledgements(400)
        assert reckon(load, s3, landing_bucket) == NOTHING_AMISS


@dataclass(frozen=True)
class Copies:
    """What three copies on one port did: each one's acknowledgements while all ran, and all of it in the end."""

    shares: list[float]
    load_of_all: float
    reckoning: Reckoning


@pytest.fixture(scope="module")
def copies(s3: S3, s3_client: S3Client) -> Iterator[Copies]:
    """Run three copies on one port under load; then kill one and stop another, and go on with the third."""
    ports = {"RECEIVER_PORT": str(free_ports(1)[0]), "RECEIVER_REUSE_PORT": "true", "RECEIVER_ADMIN_PORT": "0"}
    with bucket(s3_client, "landing") as name, ExitStack() as running:
        first, second, third = three = [
            running.enter_context(start_receiver(s3, name, wait_ready=False, **ports)) for _ in range(3)
        ]
        with closed_loop(third.url, senders=48) as load:
            load.wait_for_acknowledgements(500)
        shares = [metric(admin(one), "receiver_requests_total", route=CURRENT, status="202") for one in three]
        load_of_all = load.acknowledged
        with closed_loop(third.url, senders=48, resumed=load):
            load.wait_for_acknowledgements(200)
            first.process.kill()
            load.wait_for_acknowledgements(200)
            second.stop()
            load.wait_for_acknowledgements(200)
        yield Copies(shares, load_of_all, reckon(load, s3, name))


def test_copies_share_a_port(copies: Copies) -> None:
    """Three copies on one port each acknowledge a part."""
    assert (min(copies.shares) > 0, sum(copies.shares)) == (True, copies.load_of_all)


def test_copies_lose_nothing(copies: Copies) -> None:
    """One killed and one stopped, what any of them acknowledged is landed."""
    assert copies.reckoning == NOTHING_AMISS


# The receiver's own end, again and again


@pytest.mark.slow
def test_killed_ten_times(s3: S3, landing_bucket: str) -> None:
    """Killed ten times under load and started again, the receiver has lost nothing that it acknowledged."""
    port = str(free_ports(1)[0])
    with closed_loop(f"http://127.0.0.1:{port}") as load:
        for _ in range(10):
            with start_receiver(s3, landing_bucket, RECEIVER_PORT=port) as receiver:
                load.wait_for_acknowledgements(100)
                receiver.process.kill()
    assert reckon(load, s3, landing_bucket) == NOTHING_AMISS
