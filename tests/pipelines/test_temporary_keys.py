"""Temporary keys of the object store, which the real one gives and takes only with their token: everything uses it.

Belongs here: keys, tokens and blanks in the environment, for every client of the store. Not: what the clients do there.
"""

import os
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from factories import event, line
from fault_proxy import fault_proxy
from lake import Lake, connected
from obstore.exceptions import BaseError
from receiver_process import S3Server, new_id, start_receiver
from receiver_process import event as body

from pipelines import notebook, object_store
from pipelines.cli.status import collect
from pipelines.landing.hours import today
from pipelines.landing.zone import LandingZone
from pipelines.settings import LakeSettings
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.write import write_snapshots

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from servers import S3

BLANK = pytest.mark.parametrize("token", ["", " \t"], ids=["empty", "blank"])


@pytest.fixture(scope="module")
def temporary_keys(s3: "S3") -> dict[str, str]:
    """Get keys from the store's own token service: a session of the caller's, for which no role is named."""
    keys = {
        "aws_access_key_id": s3.access_key,
        "aws_secret_access_key": s3.secret_key,
        "region_name": s3.region,
    }
    no_role = Config(parameter_validation=False)
    given: dict[str, Any] = boto3.client("sts", endpoint_url=s3.endpoint, config=no_role, **keys).assume_role(  # type: ignore[call-overload]  # stubs: only those of S3 are installed
        RoleSessionName="tests", DurationSeconds=3600
    )["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
        "AWS_SESSION_TOKEN": given["SessionToken"],
    }


def fill(lake: Lake) -> None:
    """Land an event, load it, and write the snapshots of today."""
    now = datetime.now(UTC)
    lake.land(line(event(), 1, now), at=now)
    lake.load(now)
    list(write_snapshots(lake.settings, lake.snapshots, today()))
    write_catalogue(lake.settings, lake.snapshots, today())


@pytest.mark.usefixtures("lake_environment")
def test_temporary_keys_are_refused_without_their_token(
    temporary_keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what follows shows that the token was sent."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, temporary_keys[name])
    settings = LakeSettings.from_environment()
    with pytest.raises(BaseError, match="InvalidAccessKeyId"):
        list(LandingZone(settings).files())
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        object_store.client(settings).list_objects_v2(Bucket=settings.snapshot_bucket)


@pytest.mark.usefixtures("lake_environment")
def test_everything_works_with_temporary_keys_and_every_request_has_their_token(
    s3: "S3", s3_client: "S3Client", temporary_keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with fault_proxy(s3) as proxy:
        for name, value in {**temporary_keys, "AWS_ENDPOINT_URL_S3": proxy.endpoint}.items():
            monkeypatch.setenv(name, value)
        use_everything(proxy, s3_client)
        assert proxy.tokens == {temporary_keys["AWS_SESSION_TOKEN"]}


@BLANK
@pytest.mark.usefixtures("lake_environment")
def test_a_blank_token_is_none(s3: "S3", s3_client: "S3Client", token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with fault_proxy(s3) as proxy:
        for name, value in {"AWS_SESSION_TOKEN": token, "AWS_ENDPOINT_URL_S3": proxy.endpoint}.items():
            monkeypatch.setenv(name, value)
        use_everything(proxy, s3_client)
        assert proxy.tokens == {None}


def use_everything(store: S3Server, client: "S3Client") -> None:
    """Use the store in every way there is, with the keys of the environment."""
    keys = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    with start_receiver(store, os.environ["LANDING_BUCKET"], wait_ready=True, **keys) as receiver:
        assert receiver.deliver(new_id(), body()).status == 202
    with connected(client) as lake:
        fill(lake)
        assert collect(lake.settings)["errors"] == []
    assert len(notebook.read("whatsapp_events", date=today())) == 2
    assert notebook.connect().sql("select count(*) from whatsapp_events").fetchall() == [(2,)]


def test_blanks_around_a_key_do_not_count(lake_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f" {lake_environment['AWS_SECRET_ACCESS_KEY']}\n")
    settings = LakeSettings.from_environment()
    assert list(LandingZone(settings).files()) == []


def test_a_shell_with_a_token_uses_the_stack_of_a_data_directory(
    lake_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "env").write_text("".join(f"{name}={value}\n" for name, value in lake_environment.items()))
    for name in lake_environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of somebody else's key")
    wpp_lake = f"{shlex.quote(sys.executable)} -m pipelines.cli"
    script = f'eval "$({wpp_lake} env --data-dir {shlex.quote(str(tmp_path))})" && {wpp_lake} status'
    done = subprocess.run(script, shell=True, capture_output=True, text=True, check=True)  # noqa: S602  the point of the test
    assert done.stderr == ""
