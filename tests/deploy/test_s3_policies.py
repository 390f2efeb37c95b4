"""The keys of `deploy/s3/`, written for AWS, at a server that takes the same policies: what each may do, and no more.

SeaweedFS doesn't know the condition of never-replace.json, and these tests don't try that one.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from signal import SIGTERM
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from lake import environment
from mypy_boto3_s3 import S3Client
from obstore.exceptions import PermissionDeniedError
from project import ROOT
from pydantic import SecretStr
from receiver_process import event, new_id, start_receiver
from servers import S3, running

from devstack.seaweed import check_bucket
from devstack.waiting import free_ports, wait_until
from pipelines import notebook
from pipelines.doctor import store as doctor
from pipelines.landing.hours import today
from pipelines.landing.zone import LandingZone
from pipelines.loading.load import load
from pipelines.orchestration.metrics import Metrics
from pipelines.privacy.apply import sweep
from pipelines.privacy.content_expiry import expire_content
from pipelines.privacy.expiry import expire
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.write import write_snapshots

WHO = ("receiver", "pipelines", "reader", "metrics")
KEYS = (*WHO, "expiry", "content")
LANDING, SNAPSHOTS = "wpp-landing", "wpp-snapshots"
LANDED, PROBE, OTHER = "whatsapp/date=2026-05-21/hour=04/a.jsonl", ".readyz", "other"
PARQUET = "whatsapp_events/date=2026-05-21/whatsapp_events.parquet"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    """Run an S3 server with one key per policy, and one that may do everything."""
    server = S3(
        tmp_path_factory.mktemp("policies") / "s3", free_ports(5), "admin", "admin-secret", ("ready",), admin=True
    )
    server.initialise()
    identities = server.folder / "identities.json"
    config = json.loads(identities.read_text())
    config["policies"] = [{"name": who, "content": policy(who)} for who in KEYS]
    config["identities"] += [
        {"name": who, "credentials": [{"accessKey": who, "secretKey": f"{who}-secret"}], "policyNames": [who]}
        for who in KEYS
    ]
    identities.write_text(json.dumps(config))
    with running(server.command(), server.folder, SIGTERM):
        client = server.client()
        wait_until(lambda: server.check(client), "SeaweedFS")
        for bucket in (LANDING, SNAPSHOTS):
            client.create_bucket(Bucket=bucket)
            wait_until(lambda bucket=bucket: check_bucket(client, bucket), bucket)  # type: ignore[misc]  # mypy and defaults
        for bucket, key in ((LANDING, LANDED), (LANDING, OTHER), (SNAPSHOTS, PARQUET)):
            client.put_object(Bucket=bucket, Key=key, Body=b"there")
        client.close()
        yield server


def policy(who: str) -> str:
    """Return a policy as it is."""
    return (ROOT / "deploy" / "s3" / f"{who}.json").read_text()


def as_one(store: S3, who: str) -> S3:
    """Return the server as who has a policy's key sees it."""
    return replace(store, access_key=who, secret_key=f"{who}-secret")


Act = Callable[[S3Client, str, str], Any]
ACTS: dict[str, Act] = {
    "list": lambda client, bucket, _: client.list_objects_v2(Bucket=bucket),
    "read": lambda client, bucket, key: client.get_object(Bucket=bucket, Key=key),
    "head": lambda client, bucket, key: client.head_object(Bucket=bucket, Key=key),
    "put": lambda client, bucket, key: client.put_object(Bucket=bucket, Key=key, Body=b"put"),
    "upload": lambda client, bucket, key: client.create_multipart_upload(Bucket=bucket, Key=key),
    "copy": lambda client, bucket, key: client.copy_object(
        Bucket=bucket, Key=key, CopySource={"Bucket": LANDING, "Key": OTHER}
    ),
    "delete": lambda client, bucket, key: client.delete_object(Bucket=bucket, Key=key),
    "tag": lambda client, bucket, key: client.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": []}),
    "remove the bucket": lambda client, bucket, _: client.delete_bucket(Bucket=bucket),
    "change its policy": lambda client, bucket, _: client.put_bucket_policy(Bucket=bucket, Policy="{}"),
    "make another": lambda client, bucket, _: client.create_bucket(Bucket=f"{bucket}-more"),
}
# What each may do where; everything else is denied.
ALLOWED = {
    ("receiver", LANDING, LANDED): {"put", "upload"},
    ("receiver", LANDING, PROBE): {"put", "upload"},
    ("pipelines", LANDING, LANDED): {"list", "read", "head"},
    ("pipelines", LANDING, OTHER): {"list"},
    ("pipelines", LANDING, PROBE): {"list"},
    ("pipelines", SNAPSHOTS, PARQUET): {"list", "read", "head", "put", "upload"},
    ("reader", SNAPSHOTS, PARQUET): {"list", "read", "head"},
    ("metrics", LANDING, LANDED): {"list"},
    ("metrics", LANDING, OTHER): {"list"},
    ("metrics", LANDING, PROBE): {"list"},
}
PLACES = ((LANDING, LANDED), (LANDING, PROBE), (LANDING, OTHER), (SNAPSHOTS, PARQUET))


def allowed(client: S3Client, act: Act, bucket: str, key: str) -> bool:
    """Do it, and tell whether that was allowed."""
    try:
        act(client, bucket, key)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"AccessDenied", "403"}:
            raise
        return False
    return True


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize(("bucket", "key"), PLACES, ids=[f"{bucket}/{key}" for bucket, key in PLACES])
def test_what_a_key_may_do(store: S3, who: str, bucket: str, key: str) -> None:
    """Above all: the receiver reads and deletes nothing, the reader sees no landing file, nobody deletes."""
    client = as_one(store, who).client()
    done = {name for name, act in ACTS.items() if allowed(client, act, bucket, key)}
    client.close()
    assert done == ALLOWED.get((who, bucket, key), set())


def test_each_does_its_work_with_its_own_key(store: S3, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event is received, loaded, written as Parquet, read in a notebook, and seen by the metrics."""
    with start_receiver(as_one(store, "receiver"), LANDING) as receiver:
        assert receiver.deliver(new_id(), event()).status == 202
    for name, value in environment(database_url, as_one(store, "pipelines"), LANDING, SNAPSHOTS).items():
        monkeypatch.setenv(name, value)
    settings = LakeSettings.from_environment()
    zone = LandingZone(settings)
    with psycopg.connect(database_url, autocommit=True) as connection:
        hours = {file.hour for page in zone.files() for file in page} - {None}
        assert load(connection, zone, hours, "test").loaded == 1
    written = {file.table: file.rows for file in write_snapshots(settings, SnapshotStore(settings), today())}
    assert written["whatsapp_events"] == 1
    for name, value in environment("", as_one(store, "reader"), "", SNAPSHOTS).items():
        monkeypatch.setenv(name, value)
    assert len(notebook.read("whatsapp_events", date=today())) == 1
    for name, value in environment(database_url, as_one(store, "metrics"), LANDING, "").items():
        monkeypatch.setenv(name, value)
    assert b"\nwpp_lake_up 1.0\n" in asyncio.run(Metrics().text())


@pytest.mark.parametrize("name", [*KEYS, "never-replace"])
def test_no_policy_reaches_another_bucket(name: str) -> None:
    """Each names its two buckets and nothing wider."""
    resources = [
        resource
        for statement in json.loads(policy(name))["Statement"]
        for resource in [statement["Resource"]] * isinstance(statement["Resource"], str) or statement["Resource"]
    ]
    assert {resource.split(":::")[1].split("/")[0] for resource in resources} <= {LANDING, SNAPSHOTS}


def examined(store: S3, who: str) -> dict[str, str]:
    """Return what the doctor finds with one's key as the pipelines' and as the receiver's, by check."""
    key = {"AWS_ACCESS_KEY_ID": who, "AWS_SECRET_ACCESS_KEY": f"{who}-secret"}
    settings = LakeSettings(
        database_url=SecretStr("postgresql:"),
        aws_endpoint_url_s3=store.endpoint,
        aws_access_key_id=SecretStr(who),
        aws_secret_access_key=SecretStr(f"{who}-secret"),
    )
    found = [*doctor.check(settings), *doctor.check_receiver(settings, key)]
    return {finding.check: finding.level for finding in found}


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("receiver", {"receiver's key": "ok", "receiver's limits": "ok", "landing bucket": "failure"}),
        (
            "pipelines",
            {"landing bucket": "ok", "versions": "note", "snapshot bucket": "ok", "receiver's key": "failure"},
        ),
        ("reader", {"landing bucket": "failure", "snapshot bucket": "failure", "receiver's key": "failure"}),
    ],
)
def test_the_doctor_knows_each_key_by_what_it_may_do(store: S3, who: str, expected: dict[str, str]) -> None:
    """The right one for its work is well; another one isn't."""
    found = examined(store, who)
    assert {check: found[check] for check in expected} == expected


def test_an_expiry_needs_its_own_policy_and_a_sweep_after_it_none(
    store: S3, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Last, for what the others look at is removed."""

    def settings_of(who: str) -> LakeSettings:
        for name, value in environment(database_url, as_one(store, who), LANDING, SNAPSHOTS).items():
            monkeypatch.setenv(name, value)
        return LakeSettings.from_environment()

    before = date(2026, 5, 22)
    monkeypatch.setenv("ERASURE_KEY", "0123456789abcdef0123456789abcdef")
    with psycopg.connect(database_url, autocommit=True) as connection:
        with pytest.raises(PermissionDeniedError):
            expire_content(settings_of("pipelines"), connection, before, "T", "me")
        assert expire_content(settings_of("content"), connection, before, "T", "me").counts["changed_files"] == 1
        assert sweep(settings_of("pipelines"), connection).counts.total() == 0
        with pytest.raises(PermissionDeniedError):
            expire(settings_of("pipelines"), connection, before, "T", "me")
        assert expire(settings_of("expiry"), connection, before, "T", "me").counts["files"] == 1
        assert sweep(settings_of("pipelines"), connection).counts.total() == 0
    client = store.client()
    for bucket, key in ((LANDING, LANDED), (SNAPSHOTS, PARQUET)):
        with pytest.raises(ClientError, match=r"404"):
            client.head_object(Bucket=bucket, Key=key)
    client.close()
