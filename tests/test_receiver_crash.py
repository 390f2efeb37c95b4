"""What was acknowledged is in the landing zone, however the receiver ends."""

from collections.abc import Iterator

import pytest
from conftest import S3, bucket
from mypy_boto3_s3 import S3Client
from receiver_process import start_receiver
from senders import Load, Reckoning, closed_loop, reckon

ENOUGH = 400


def test_killed(s3: S3, landing_bucket: str) -> None:
    """Killed under load, the receiver has lost nothing that it acknowledged."""
    with start_receiver(s3, landing_bucket) as receiver, closed_loop(receiver.url) as load:
        load.wait_for_acknowledgements(ENOUGH)
        receiver.process.kill()
    assert reckon(load, s3, landing_bucket) == Reckoning()


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
    assert stopped[2] == Reckoning()


def test_stopped_refuses_nothing(stopped: tuple[int, Load, Reckoning]) -> None:
    """It answered each event with an acknowledgement, or asked for one whose body was still on its way again."""
    assert set(stopped[1].answers) <= {202, 408}
