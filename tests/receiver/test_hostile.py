"""Hostile requests, byte for byte: each gets the status it deserves, and the receiver goes on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from hostile import Case, cases, send
from mypy_boto3_s3 import S3Client
from receiver_process import Receiver, event, new_id, start_receiver
from servers import S3, bucket

CASES = cases()


@pytest.fixture(scope="module")
def receiver(s3: S3, s3_client: S3Client) -> Iterator[Receiver]:
    """Run a receiver for all of the cases."""
    with bucket(s3_client, "landing") as name, start_receiver(s3, name) as process:
        yield process


@pytest.fixture(scope="module")
def statuses(receiver: Receiver) -> dict[str, int]:
    """Send every case, many at a time (some wait for the receiver's timeouts): the status by name."""
    with ThreadPoolExecutor(24) as pool:
        found = pool.map(partial(send, port=receiver.port), CASES)
        return dict(zip([case.name for case in CASES], found, strict=True))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile(case: Case, statuses: dict[str, int]) -> None:
    """The case gets one of the statuses that are right for it."""
    assert statuses[case.name] in case.accepted, case.why


@pytest.mark.usefixtures("statuses")
def test_goes_on(receiver: Receiver) -> None:
    """After all of them a proper event is still accepted."""
    assert receiver.deliver(new_id(), event()).status == 202


@pytest.mark.usefixtures("statuses")
def test_nothing_unexpected(receiver: Receiver) -> None:
    """None of them was an error that the receiver hadn't foreseen."""
    assert "ERROR" not in receiver.said()
