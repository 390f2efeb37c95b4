"""The twelve claims of the system that this one replaces, one test each."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from factories import PATHS, event, event_id, group, headers, line, message, participant, sign
from lake import Lake
from receiver_process import Answer, Receiver, landed, start_receiver

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from servers import S3

FIRST = PATHS["first"]
BODY = event(
    message(participant()),
    chat=None,
    group_jid=group(),
    participant_jid=participant().phone_jid,
    occurred_at=1779336842,
)


@pytest.fixture
def receiver(s3: "S3", landing_bucket: str) -> Iterator[Receiver]:
    """Run a receiver."""
    with start_receiver(s3, landing_bucket) as running:
        yield running


def post(receiver: Receiver, body: bytes, **replaced: str | None) -> Answer:
    """Post a body under the first contract; None takes a header away."""
    sent = headers(body, event_id(), "first") | {name.replace("_", "-"): value for name, value in replaced.items()}
    return receiver.request("POST", FIRST, body, {name: value for name, value in sent.items() if value is not None})


def test_rows_have_uuid_version_7_keys(lake: Lake) -> None:
    lake.land(line(BODY, contract="first"))
    lake.load()
    for table in ("whatsapp_events", "whatsapp_groups", "whatsapp_participants"):
        assert [UUID(str(key)).version for (key,) in lake.rows(f"select id from {table}")] == [7]  # noqa: S608  fixed names


def test_the_payload_round_trips_as_jsonb(lake: Lake) -> None:
    lake.land(line(BODY, contract="first"))
    lake.load()
    assert lake.rows("select payload, pg_typeof(payload)::text from whatsapp_events") == [
        (json.loads(BODY)["payload"], "jsonb")
    ]


def test_foreign_keys_may_be_null(lake: Lake) -> None:
    lake.connection.execute(
        """insert into whatsapp_events (event_id, type, received_at, last_received_at, deliveries, payload,
               payload_sanitized, body_sha256, body_received_at, undecrypted, landing_key, landing_line)
           values (gen_random_uuid(), 'x', now(), now(), 1, '{}', false, '', now(), false, 'key', 1)"""
    )
    assert lake.rows("select group_id, participant_id, tenant_id from whatsapp_events") == [(None, None, None)]


def test_a_load_creates_group_and_participant(lake: Lake) -> None:
    lake.land(line(BODY, contract="first"))
    lake.load()
    assert lake.rows(
        "select g.external_jid, p.external_jid from whatsapp_events"
        " join whatsapp_groups g on g.id = group_id join whatsapp_participants p on p.id = participant_id"
    ) == [(group(), participant().phone_jid)]


def test_an_event_without_either_loads(lake: Lake) -> None:
    lake.land(line(b'{"type":"settings.update","payload":{"setting":"locale","value":"pt_BR"}}', contract="first"))
    lake.load()
    assert lake.rows("select type, group_id, participant_id from whatsapp_events") == [("settings.update", None, None)]


def test_a_load_is_idempotent_by_event_id(lake: Lake) -> None:
    for _ in range(2):
        lake.land(line(BODY, contract="first"))
        lake.load()
    assert lake.rows("select event_id::text from whatsapp_events") == [(event_id(),)]


def test_the_group_is_not_duplicated(lake: Lake) -> None:
    lake.land(*(line(BODY, number, contract="first") for number in range(3)))
    lake.load()
    assert lake.rows("select external_jid from whatsapp_groups") == [(group(),)]
    assert lake.rows("select count(*), count(distinct group_id) from whatsapp_events") == [(3, 1)]


def test_a_valid_hmac_is_202_and_landed(receiver: Receiver, landing_bucket: str, s3_client: "S3Client") -> None:
    assert post(receiver, BODY).status == 202
    assert [found.signed for found in landed(s3_client, landing_bucket)] == [BODY]


def test_an_invalid_signature_is_401_and_nothing_is_landed(
    receiver: Receiver, landing_bucket: str, s3_client: "S3Client"
) -> None:
    assert post(receiver, BODY, X_Signature=sign(BODY, event_id(), "first", "another secret")).status == 401
    assert landed(s3_client, landing_bucket) == []


def test_a_missing_event_id_is_401(receiver: Receiver) -> None:
    assert post(receiver, BODY, X_Event_Id=None).status == 401


def test_an_invalid_body_is_422(receiver: Receiver) -> None:
    assert post(receiver, b'{"payload": {}}').status == 422


def test_a_duplicate_is_202_and_nothing_more_is_landed(
    receiver: Receiver, landing_bucket: str, s3_client: "S3Client"
) -> None:
    assert [post(receiver, BODY).json["status"] for _ in range(2)] == ["accepted", "duplicate"]
    assert len(landed(s3_client, landing_bucket)) == 1
