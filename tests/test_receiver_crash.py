"""What was acknowledged is in the landing zone, however the receiver ends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException

import pytest
from conftest import S3
from mypy_boto3_s3 import S3Client
from receiver_process import CURRENT, Receiver, event, landed, new_id, signed, start_receiver

SENDERS = 16
ENOUGH = 400


class Load:
    """Senders that deliver event after event, each on its own connection, until the receiver is gone."""

    def __init__(self, receiver: Receiver) -> None:
        self.port = receiver.port
        self.acknowledged: set[str] = set()
        self.statuses: set[int] = set()
        self.enough = threading.Event()

    def deliver(self) -> None:
        """Deliver until the connection fails."""
        with suppress(OSError, HTTPException):
            connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                while True:
                    self.deliver_one(connection)
            finally:
                connection.close()

    def deliver_one(self, connection: HTTPConnection) -> None:
        """Deliver one new event, and remember it when it was acknowledged."""
        event_id = new_id()
        connection.request("POST", CURRENT, event(), signed(event_id, event()))
        response = connection.getresponse()
        response.read()
        self.statuses.add(response.status)
        if response.status == 202:
            self.acknowledged.add(event_id)
        if len(self.acknowledged) >= ENOUGH:
            self.enough.set()


@contextmanager
def load_on(receiver: Receiver) -> Iterator[Load]:
    """Run the senders; the block begins when enough is acknowledged, and ends when they all have stopped."""
    load = Load(receiver)
    senders = [threading.Thread(target=load.deliver) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    assert load.enough.wait(60)
    yield load
    for sender in senders:
        sender.join()


def landed_ids(client: S3Client, bucket: str) -> set[str]:
    """Return the ids in the landing zone."""
    return {found.event_id for found in landed(client, bucket)}


def test_killed(s3: S3, landing_client: S3Client, landing_bucket: str) -> None:
    """Killed under load, the receiver has lost nothing that it acknowledged."""
    with start_receiver(s3, landing_bucket) as receiver, load_on(receiver) as load:
        receiver.process.kill()
    assert load.acknowledged <= landed_ids(landing_client, landing_bucket)


@pytest.fixture(scope="module")
def stopped(s3: S3, s3_client: S3Client) -> Iterator[tuple[int, Load, set[str]]]:
    """Stop a receiver under load with SIGTERM: its exit code, the load, and the ids that landed."""
    name = f"landing-{new_id()[:8]}"
    s3_client.create_bucket(Bucket=name)
    with start_receiver(s3, name) as receiver, load_on(receiver) as load:
        code = receiver.stop()
    yield code, load, landed_ids(s3_client, name)
    s3_client.delete_bucket(Bucket=name)


def test_stopped(stopped: tuple[int, Load, set[str]]) -> None:
    """Stopped under load, the receiver exits with 0."""
    assert stopped[0] == 0


def test_stopped_keeps_everything(stopped: tuple[int, Load, set[str]]) -> None:
    """Stopped under load, it has lost nothing that it acknowledged."""
    assert stopped[1].acknowledged <= stopped[2]


def test_stopped_refuses_nothing(stopped: tuple[int, Load, set[str]]) -> None:
    """It answered each event with an acknowledgement, or asked for one whose body was still on its way again."""
    assert stopped[1].statuses <= {202, 408}
