"""A lake under test: a fresh database and fresh buckets of the real servers, and a few sentences to say with them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from factories import RECEIVED, SECRET

import devstack
from pipelines.db.queries import query
from pipelines.landing.zone import LandingZone
from pipelines.loading.ledger import LoadCounts
from pipelines.loading.load import load
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from receiver.landing import new_key

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from servers import S3

SAMPLE = Path(devstack.__file__).with_name("sample") / "requests.jsonl"

# Everything that must not depend on order, grouping or repetition; ids aside, people and groups by their address.
CONTENT = {
    "groups": """
        select external_jid, tenant_id, display_name, internal_name, payload, first_seen_at, last_seen_at
        from whatsapp_groups order by 1""",
    "participants": """
        select external_jid, push_name, identity_id, payload, first_seen_at, last_seen_at
        from whatsapp_participants order by 1""",
    "jids": """
        select jid, external_jid, jids.push_name, jids.first_seen_at, jids.last_seen_at
        from whatsapp_participant_jids jids join whatsapp_participants p on p.id = participant_id order by 1""",
    "pairs": "select lid_jid, phone_jid, observed_at, event_id from whatsapp_jid_pairs order by 1, 2",
    "events": """
        select event_id, type, g.external_jid, chat_jid, p.external_jid, participant_jid, occurred_at, received_at,
               last_received_at, e.payload, payload_sanitized, body_sha256, body_received_at, undecrypted
        from whatsapp_events e
        left join whatsapp_groups g on g.id = group_id
        left join whatsapp_participants p on p.id = participant_id order by 1""",
    "revisions": "select event_id, body_sha256, received_at from whatsapp_event_revisions order by 1, 2",
}


class Lake:
    """A database and two buckets."""

    def __init__(self, settings: LakeSettings, connection: psycopg.Connection[Any], client: "S3Client") -> None:
        self.settings = settings
        self.zone = LandingZone(settings)
        self.snapshots = SnapshotStore(settings)
        self.connection = connection
        self.client = client

    def land(self, *lines: bytes, at: datetime = RECEIVED) -> str:
        """Put one landing file; return its key."""
        key = new_key(at)
        self.client.put_object(Bucket=self.settings.landing_bucket, Key=key, Body=b"".join(lines))
        return key

    def empty(self) -> None:
        """Take away everything that was landed and loaded."""
        self.connection.execute(query("load/empty"))
        for key in [file.key for page in self.zone.files() for file in page]:
            self.client.delete_object(Bucket=self.settings.landing_bucket, Key=key)

    def load(self, hour: datetime = RECEIVED) -> LoadCounts:
        """Load what the ledger lacks of an hour."""
        return load(self.connection, self.zone, [hour], "test-run")

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return a query's rows."""
        return self.connection.execute(query.encode()).fetchall()

    def content(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return everything that must not depend on how the landing files came to be loaded."""
        return {name: self.rows(query) for name, query in CONTENT.items()}


def environment(database_url: str, s3: "S3", landing_bucket: str, snapshot_bucket: str) -> dict[str, str]:
    """Return the environment variables of a lake."""
    return {
        "DATABASE_URL": database_url,
        "WHATSAPP_WEBHOOK_SECRET": SECRET,
        "LANDING_BUCKET": landing_bucket,
        "SNAPSHOT_BUCKET": snapshot_bucket,
        "AWS_ENDPOINT_URL_S3": s3.endpoint,
        "AWS_ACCESS_KEY_ID": s3.access_key,
        "AWS_SECRET_ACCESS_KEY": s3.secret_key,
        "AWS_REGION": s3.region,
        "PRIVACY_REVIEW_BY": "2999-12-31",  # no test fails because a date has come
    }


@pytest.fixture
def lake_environment(
    database_url: str, s3: "S3", landing_bucket: str, snapshot_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """Set the environment of a fresh lake, and return it."""
    variables = environment(database_url, s3, landing_bucket, snapshot_bucket)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def lake(lake_environment: dict[str, str], s3_client: "S3Client") -> Iterator[Lake]:
    """Make a fresh lake."""
    with psycopg.connect(lake_environment["DATABASE_URL"], autocommit=True) as connection:
        yield Lake(LakeSettings.from_environment(), connection, s3_client)


@contextmanager
def connected(client: "S3Client") -> Iterator[Lake]:
    """Open the lake that the environment names."""
    settings = LakeSettings.from_environment()
    with psycopg.connect(settings.conninfo, autocommit=True) as connection:
        yield Lake(settings, connection, client)


@pytest.fixture(scope="session")
def sample() -> list[dict[str, Any]]:
    """Return the sample's requests, each with what is expected of it."""
    with SAMPLE.open(encoding="utf-8", newline="\n") as file:
        return [json.loads(text) for text in file]
