"""Connections that hold back what they announce: beside them an honest sender is acknowledged, and memory is bounded.

Their headers are in order and their signatures well-formed: that those are wrong can't be known until a body is whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from mypy_boto3_s3 import S3Client
from receiver_process import open_files, peak_memory, start_receiver
from senders import MEGABYTE, Load, Reckoning, closed_loop, crowd, headers_alone, metric, reckon, wait_for
from servers import S3, bucket

ANNOUNCED = 8 * MEGABYTE
QUEUE_BYTES = 64 * MEGABYTE  # the default
KEPT_BYTES = 128 * 1024  # of a connection beside that, as in test_receiver_memory
IN_LENGTH = headers_alone(ANNOUNCED)
IN_CHUNKS = IN_LENGTH.replace(b"Content-Length: %d" % ANNOUNCED, b"Transfer-Encoding: chunked")
A_CHUNK = b"%x\r\n" % ANNOUNCED
PART = b"x" * 2 * MEGABYTE
ALL_BUT_ONE = b"x" * (ANNOUNCED - 1)


@dataclass(frozen=True)
class Attack:
    """So many connections, what each begins with, and what it adds every second."""

    connections: int
    beginning: bytes
    drip: bytes = b""


ATTACKS = {
    "64 announce 8 MB and send nothing": Attack(64, IN_LENGTH),
    "64 announce chunks and send none": Attack(64, IN_CHUNKS),
    "64 announce 8 MB and send a quarter": Attack(64, IN_LENGTH + PART),
    "64 announce a chunk of 8 MB and send a quarter": Attack(64, IN_CHUNKS + A_CHUNK + PART),
    "64 send all but the last byte": Attack(64, IN_LENGTH + ALL_BUT_ONE),
    "1000 send little, and more every second": Attack(1000, IN_LENGTH + b"x" * 50_000, b"x" * 10_000),
}


@dataclass(frozen=True)
class Outcome:
    """How an honest sender fared beside an attack, and the receiver."""

    load: Load
    reckoning: Reckoning
    ready: int  # the answer of /readyz, while it was on
    held_bytes: float  # bytes of bodies, at the same time
    grown_bytes: int  # the most memory that the receiver ever had, less what it had before


@pytest.fixture(scope="module", params=ATTACKS.values(), ids=list(ATTACKS))
def outcome(request: pytest.FixtureRequest, s3: S3, s3_client: S3Client) -> Iterator[tuple[Attack, Outcome]]:
    """Attack a receiver until every connection has had to go at least once, and let an honest sender deliver."""
    attack = request.param
    with open_files(8192), bucket(s3_client, "landing") as name, start_receiver(s3, name) as receiver:
        before = peak_memory(receiver)
        with (
            crowd(receiver.port, [(attack.beginning, attack.drip)] * attack.connections) as present,
            closed_loop(receiver.url, senders=4) as load,
        ):
            load.wait_for_acknowledgements(20)
            ready = receiver.request("GET", "/readyz").status
            held = metric(receiver, "receiver_queue_bytes")
            wait_for(lambda: present.turned_away >= attack.connections, "all of them to have had to go")
            load.wait_for_acknowledgements(20)
        grown = peak_memory(receiver) - before
        wait_for(lambda: metric(receiver, "receiver_queue_bytes") == 0, "all that they held to be free")
        yield attack, Outcome(load, reckon(load, s3, name), ready, held, grown)


def test_honest_senders_are_acknowledged(outcome: tuple[Attack, Outcome]) -> None:
    """Every honest event is acknowledged at its first posting, while the sender still waits."""
    _, found = outcome
    assert (set(found.load.answers), found.load.unanswered, found.load.too_late) == ({202}, 0, 0)


def test_honest_events_are_landed(outcome: tuple[Attack, Outcome]) -> None:
    """And each is landed as it was sent, once."""
    _, found = outcome
    assert found.reckoning == Reckoning()


def test_ready_all_the_while(outcome: tuple[Attack, Outcome]) -> None:
    """Nobody takes the receiver out of service for that."""
    _, found = outcome
    assert found.ready == 200


def test_budget_is_kept(outcome: tuple[Attack, Outcome]) -> None:
    """The bodies that are here are never more than the byte budget."""
    _, found = outcome
    assert found.held_bytes <= QUEUE_BYTES


def test_memory_is_bounded(outcome: tuple[Attack, Outcome]) -> None:
    """Memory grows by no more than the byte budget, an eighth of it that grows in advance, and what sockets bring."""
    attack, found = outcome
    assert found.grown_bytes <= QUEUE_BYTES * 9 // 8 + attack.connections * KEPT_BYTES + ANNOUNCED
