"""A store that lets one event down, or refuses everything for a while: no event is lost, and none is given up early."""

import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle

import pytest
from fault_proxy import Fault, FaultProxy, Gate, answers, delays, fault_proxy, hangs_up, loses_the_answer, passes
from mypy_boto3_s3 import S3Client
from receiver_process import (
    Answer,
    Receiver,
    check_ready,
    event,
    landed,
    new_id,
    start_receiver,
)
from senders import headers_alone, wait_for_metric
from servers import S3, bucket

from devstack.waiting import wait_until

# One event, and a store that lets it down


@pytest.fixture(scope="module")
def landing(s3_client: S3Client) -> Iterator[str]:
    """Make the bucket that the receiver behind the proxy lands in."""
    with bucket(s3_client, "landing") as name:
        yield name


@pytest.fixture(scope="module")
def proxy(s3: S3) -> Iterator[FaultProxy]:
    """Run a proxy in front of the S3 server."""
    with fault_proxy(s3) as running:
        yield running


@pytest.fixture(scope="module")
def receiver(proxy: FaultProxy, landing: str) -> Iterator[Receiver]:
    """Run a receiver behind the proxy."""
    with start_receiver(proxy, landing) as process:
        yield process


@pytest.mark.parametrize(
    "fault",
    [
        *(pytest.param(answers(status), id=str(status)) for status in (400, 401, 403, 404, 409, 429, 500, 503)),
        pytest.param(hangs_up, id="hangs up"),
        pytest.param(loses_the_answer, id="loses the answer"),
        pytest.param(delays(2.5), id="answers when nobody waits any more"),
    ],
)
def test_put_fails(receiver: Receiver, proxy: FaultProxy, s3_client: S3Client, landing: str, fault: Fault) -> None:
    """Whatever becomes of the first two attempts, the event is acknowledged and landed once."""
    event_id = new_id()
    proxy.first(fault, fault)
    answer = receiver.deliver(event_id, event())
    assert (answer.status, len(landed(s3_client, landing, event_id))) == (202, 1)


def test_impatient_sender(receiver: Receiver, proxy: FaultProxy, s3_client: S3Client, landing: str) -> None:
    """An event that comes again while its PUT hangs is acknowledged twice and landed once."""
    event_id, gate = new_id(), Gate()
    proxy.first(gate)
    with ThreadPoolExecutor(2) as senders:
        first = senders.submit(receiver.deliver, event_id, event())
        gate.wait_for_a_request()
        second = senders.submit(receiver.deliver, event_id, event())
        wait_for_metric(receiver, 2 * len(event()), "receiver_queue_bytes")
        gate.open()
        words = {first.result().json["status"], second.result().json["status"]}
    assert (words, len(landed(s3_client, landing, event_id))) == ({"accepted", "duplicate"}, 1)


def test_sheds_before_the_body(s3: S3, landing: str) -> None:
    """Beyond the byte budget the answer is 503 with Retry-After, although no byte of the body has come."""
    limit, gate = len(event()), Gate()
    limits = {"RECEIVER_QUEUE_BYTES": str(limit), "RECEIVER_MAX_BODY_BYTES": str(limit)}
    with (
        fault_proxy(s3) as proxy,
        start_receiver(proxy, landing, wait_ready=True, **limits) as receiver,
        ThreadPoolExecutor(1) as sender,
    ):
        proxy.first(gate)
        delivery = sender.submit(receiver.deliver, new_id(), event())
        gate.wait_for_a_request()
        with closing(announce(receiver, 1)) as shed:
            head = shed.recv(65536)
        gate.open()
        held = delivery.result().status
    assert (head.split()[1], b"\r\nRetry-After: " in head, held) == (b"503", True, 202)


def announce(receiver: Receiver, length: int) -> socket.socket:
    """Open a connection and send a delivery's headers alone."""
    connection = socket.create_connection(("127.0.0.1", receiver.port), 30)
    connection.sendall(headers_alone(length))
    return connection


# A store that refuses everything for a while: reported, and never final


@dataclass(frozen=True)
class Refusal:
    """What a receiver said while its store refused everything, and to an event that came meanwhile."""

    readiness: Answer
    answer: Answer
    landed: int


@contextmanager
def forbidden(s3: S3, client: S3Client) -> Iterator[tuple[FaultProxy, str, Callable[[], None]]]:
    """Give a store that answers 403, a bucket in it, and what ends that."""
    with bucket(client, "landing") as name, fault_proxy(s3) as proxy:
        proxy.always(answers(403))
        yield proxy, name, partial(proxy.always, passes)


@contextmanager
def missing(s3: S3, client: S3Client) -> Iterator[tuple[S3, str, Callable[[], object]]]:
    """Give a store, a bucket that isn't there, and what makes it."""
    name = f"landing-{new_id()}"
    yield s3, name, partial(client.create_bucket, Bucket=name)
    client.delete_bucket(Bucket=name)


@pytest.fixture(scope="module", params=[forbidden, missing], ids=lambda way: way.__name__)
def refusal(request: pytest.FixtureRequest, s3: S3, s3_client: S3Client) -> Iterator[Refusal]:
    """Start a receiver whose store refuses everything, deliver an event, and let the store come to reason."""
    with (
        request.param(s3, s3_client) as (store, name, relent),
        start_receiver(store, name, wait_ready=False) as receiver,
        ThreadPoolExecutor(1) as sender,
    ):
        readiness, event_id = receiver.request("GET", "/readyz"), new_id()
        delivery = sender.submit(receiver.deliver, event_id, event())
        wait_for_metric(receiver, 2, "landing_puts_total", result="failed")
        relent()
        answer = delivery.result()
        wait_until(partial(check_ready, receiver), "the receiver to be ready again")
        yield Refusal(readiness, answer, len(landed(s3_client, name, event_id)))


def test_refusal_is_reported(refusal: Refusal) -> None:
    """While the store refuses, /readyz says why nothing can land."""
    expected = {"status": "unavailable", "error": "the landing bucket does not accept writes"}
    assert (refusal.readiness.status, refusal.readiness.json) == (503, expected)


def test_refusal_is_not_final(refusal: Refusal) -> None:
    """An event that came while the store refused is acknowledged once it is landed."""
    assert (refusal.answer.status, refusal.landed) == (202, 1)


def test_a_store_that_takes_no_condition_is_not_ready(s3: S3, landing: str) -> None:
    """Landing files are put only where nothing is; a store that can't do that takes none of them."""
    with fault_proxy(s3) as proxy:
        proxy.faults = cycle((passes, answers(501)))
        with start_receiver(proxy, landing, wait_ready=False) as receiver:
            assert receiver.request("GET", "/readyz").status == 503
