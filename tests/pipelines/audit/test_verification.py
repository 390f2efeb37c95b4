"""Landed lines are verified again: any change since they were landed is found."""

import random
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from command import wpp_lake
from factories import RECEIVED, SECRET, event, event_id, headers, line
from lake import Lake
from receiver_process import start_receiver

from pipelines.audit.verify import verify
from pipelines.landing.authenticity import NoSecretError, Verifier

if TYPE_CHECKING:
    from servers import S3

VERIFIER = Verifier((SECRET.encode(),))


def failures(lake: Lake) -> list[str]:
    """Verify everything landed."""
    return verify(lake.connection, lake.zone, VERIFIER)[1]


def test_untouched_lines_of_both_contracts_verify(lake: Lake) -> None:
    lake.land(line(event(), 1), line(event(), 2, contract="first"), line(b' {"type":"x",\n"payload":1}\t', 3))
    assert verify(lake.connection, lake.zone, VERIFIER) == (3, [])


def test_a_previous_secret_verifies_too(lake: Lake) -> None:
    lake.land(line(event()))
    assert verify(lake.connection, lake.zone, Verifier((b"newer", SECRET.encode()))) == (1, [])


def test_a_line_signed_with_another_secret_is_found(lake: Lake) -> None:
    key = lake.land(line(event(), 1))
    assert verify(lake.connection, lake.zone, Verifier((b"another",)))[1] == [f"{key}:1: the signature does not verify"]


def test_a_body_that_is_not_what_was_signed_is_found_beside_it(lake: Lake) -> None:
    landed = line(b'{"type":"x",\n"payload":1}')
    key = lake.land(landed.replace(b'"payload":1', b'"payload":2'))
    assert failures(lake) == [f"{key}:1: body isn't what raw holds"]


def test_a_line_in_the_wrong_hour_is_found(lake: Lake) -> None:
    key = lake.land(line(event(), 1), line(event(), 2, RECEIVED + timedelta(hours=1)))
    assert failures(lake) == [f"{key}:2: received_at isn't in the hour of the key"]


def test_only_the_hour_asked_for_is_verified(lake: Lake) -> None:
    lake.land(line(event(), 1))
    lake.land(b"not a line\n", at=RECEIVED + timedelta(hours=1))
    assert verify(lake.connection, lake.zone, VERIFIER, RECEIVED) == (1, [])


def test_without_a_secret_nothing_is_called_verified(lake: Lake) -> None:
    with pytest.raises(NoSecretError):
        verify(lake.connection, lake.zone, Verifier(()))


def test_a_flipped_bit_anywhere_in_a_received_line_is_found(lake: Lake, s3: "S3") -> None:
    """The signature doesn't cover received_at: the digest that the receiver puts beside the file does."""
    with start_receiver(s3, lake.settings.landing_bucket) as receiver:
        sent = headers(event(), event_id(), "first")
        assert receiver.request("POST", "/api/integrations/whatsapp/events", event(), sent).status == 202
    assert failures(lake) == []
    [[file]] = [page for page in lake.zone.files() if page]
    bucket = lake.settings.landing_bucket
    landed = lake.client.get_object(Bucket=bucket, Key=file.key)
    content = landed["Body"].read()
    dice = random.Random(1)  # noqa: S311  not for secrets
    for position in [*range(0, len(content), 7), len(content) - 1]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << dice.randrange(8)
        lake.client.put_object(Bucket=bucket, Key=file.key, Body=bytes(damaged), Metadata=landed["Metadata"])
        assert failures(lake) != [], position


def test_a_flipped_bit_in_what_is_signed_is_found_without_the_digest_too(lake: Lake) -> None:
    intact = line(event())
    start = intact.index(b'"body"')
    for position in range(start, len(intact) - 1, 5):
        damaged = bytearray(intact)
        damaged[position] ^= 1
        lake.land(bytes(damaged))
    found = failures(lake)
    assert len(found) == len({failure.partition(":")[0] for failure in found}) == len(range(start, len(intact) - 1, 5))


@pytest.mark.usefixtures("lake_environment")
def test_the_command_lists_what_fails_and_exits_with_1(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_WEBHOOK_SECRET", SECRET)
    lake.land(line(event(), 1))
    good = wpp_lake("verify")
    key = lake.land(line(event(), 2).replace(b"oi", b"ei"))
    bad = wpp_lake("verify", "--hour", "2026-05-21-04:00")
    assert (good.returncode, good.stdout) == (0, "1 lines verified, 0 failures\n")
    assert (bad.returncode, bad.stdout) == (
        1,
        f"{key}:1: the signature does not verify\n2 lines verified, 1 failures\n",
    )
