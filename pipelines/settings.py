"""The lake's settings, read from the environment whenever a command, a run or a sensor's tick asks for them.

Belongs here: names, types, defaults and meanings, from which docs/reference.py writes .env.example and the tables of
docs. Not: clients made from them.
"""

import os
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

from pydantic import Field, HttpUrl, Json, Secret, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines import env_file
from pipelines.errors import WppLakeError


class SettingsError(WppLakeError):
    """A setting is missing or of the wrong kind; the message names the variables and none of their values."""


class LakeSettings(BaseSettings):
    """The lake's parts and how they work. Each field is the environment variable of its upper-case name."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, validate_default=False)

    database_url: SecretStr = Field(
        description="the lake's database, PostgreSQL 18, in any libpq form; `wpp-lake migrate` makes its tables",
        examples=["postgresql://wpp_lake@db.example.org:5432/wpp_lake"],
    )
    whatsapp_webhook_secret: SecretStr | None = Field(
        default=None,
        description="the secret that the collector signs with, verbatim: 16 bytes or more, no white space at its ends",
    )
    whatsapp_webhook_previous_secrets: Json[tuple[SecretStr, ...]] = Field(
        default=(), description="JSON list of earlier secrets that the receiver still accepts, during a rotation"
    )
    whatsapp_webhook_retired_secrets: Json[tuple[SecretStr, ...]] = Field(
        default=(),
        description="JSON list of secrets that verify landed lines and are never accepted from a sender: every secret "
        "that ever signed one; `up` adds those of its earlier starts",
    )
    erasure_key: SecretStr | None = Field(
        default=None,
        description="the key of the list of erasures, 32 bytes or more: without it nobody learns from the list who was "
        "forgotten, and with erasures nothing is loaded; keep it elsewhere than the buckets "
        "([privacy.md](privacy.md#the-key))",
    )
    retention_days: int | None = Field(
        default=None,
        ge=1,
        description="days that what was received is kept, in landing zone, tables and snapshots; the job `expire` then "
        "removes what is older, once a day ([what goes](landing-zone.md#expiry)); without it nothing expires by itself",
        examples=["365"],
    )
    retention_content_days: int | None = Field(
        default=None,
        ge=1,
        description="days that content is kept of what was received, in landing zone, tables and snapshots; the job "
        "`expire` then takes it out of what is older, once a day, and leaves type, people and times ([what "
        "stays](landing-zone.md#expiry-of-content)); needs `ERASURE_KEY`; without it content goes with all else only",
        examples=["90"],
    )
    landing_bucket: str = Field(default="wpp-landing", description="bucket of the landing zone, which must exist")
    snapshot_bucket: str = Field(default="wpp-snapshots", description="bucket of the snapshots, which must exist")
    load_verify: bool = Field(
        default=True,
        description="`false`: what is landed becomes rows without its signature being verified, which `status` says; "
        "else a load without any secret refuses",
    )
    silence_hours: float = Field(
        default=12, gt=0, description="hours without an event after which the check `collector_heard` warns"
    )
    load_seconds: float = Field(
        default=60,
        ge=0,
        description="least time between two runs of `load` by themselves; what little lands meanwhile is loaded by the "
        "sensor itself, every 15 s",
    )
    partitions_since: datetime | None = Field(
        default=None,
        description="first UTC date, or hour, that is a partition in Dagster; without it the first landed hour when "
        "the code server starts, else the running hour",
        examples=["2026-05-21", "2026-05-21T06:00Z"],
    )
    privacy_review_by: date = Field(
        default=date(2027, 2, 28),
        description="date by which what is kept of people is reviewed ([ADR 0001](adr/0001-data-lake-approach.md)); "
        "the check `privacy_review` warns 30 days before it and is an error after it",
    )
    snapshot_minutes: float = Field(
        default=10,
        ge=1,
        description="least time between two snapshots by themselves; with 10 an event is in Parquet within 15 minutes",
    )
    run_history_days: int = Field(
        default=30,
        ge=1,
        description="days that a run stays in Dagster's history after its end; a partition's newest stays for ever",
    )
    aws_endpoint_url_s3: str | None = Field(
        default=None,
        description="URL of the S3 endpoint, whose buckets are addressed by path; without it AWS of the region",
        examples=["https://s3.example.org"],
    )
    aws_access_key_id: SecretStr | None = Field(
        default=None,
        description="key for the buckets; without it and its secret each client finds the machine's own, which it "
        "renews (web identity, container, instance)",
    )
    aws_secret_access_key: SecretStr | None = Field(default=None, description="secret of that key")
    aws_session_token: SecretStr | None = Field(
        default=None, description="token of a temporary key, and of no other; processes take a new one at their start"
    )
    aws_region: str = Field(default="us-east-1", description="region of the buckets")
    aws_request_checksum_calculation: str = Field(  # read by boto3 itself
        default="when_supported",
        description="checksums that boto3 adds to uploads of snapshots; `when_required` for stores that refuse them",
    )
    dagster_postgres_url: SecretStr = Field(
        default=SecretStr(""),
        description="Dagster's own database, required by it; the driver must be named, `postgresql+psycopg2://...`",
        examples=["postgresql+psycopg2://dagster@db.example.org:5432/dagster"],
    )
    dagster_home: Path | None = Field(
        default=None,
        description="absolute path of the folder with `dagster.yaml`; Dagster requires it, `doctor` looks at its disk",
        examples=["/srv/wpp-lake/dagster"],
    )
    dagster_grpc_socket: Path | None = Field(
        default=None,
        description="the code server's unix socket, as in `workspace.yaml`: an absolute path of at most 107 bytes, "
        "in a folder that nobody else may enter, for whoever reaches it runs code",
        examples=["/run/wpp-lake/code.sock"],
    )
    dagster_allowed_hosts: str = Field(  # read by orchestration.webserver itself, which has no database
        default="",
        description="hosts, between commas, by which browsers reach Dagster's web interface beside the address that it "
        "listens at: its name behind a proxy; one without a port, at any port",
    )
    wpp_lake_data_dir: Path | None = Field(
        default=None, description="data directory of `up`, whose processes `status` and `doctor` look at"
    )
    wpp_lake_receiver_url: str = Field(
        default="http://127.0.0.1:8080", description="where `send` and `doctor` post, and `status` asks"
    )
    wpp_lake_readyz_url: str | None = Field(
        default=None,
        description="where the heartbeat asks whether the receiver is ready, if that isn't `/readyz` at "
        "`WPP_LAKE_RECEIVER_URL`",
    )
    heartbeat_url: Secret[HttpUrl] | None = Field(
        default=None,
        description="http(s) URL that Dagster calls about once a minute while all is well "
        "([what counts](dagster.md#the-heartbeat)); who knows it can feign that, so it is kept like a secret",
    )
    alert_webhook_url: Secret[HttpUrl] | None = Field(
        default=None,
        description="http(s) URL to which Dagster posts what fails, when it is over, and once a day that all is well "
        "([what counts](dagster.md#alerts)), as JSON that Slack and Discord understand; who knows it can post there, "
        "so it is kept like a secret",
    )
    store_min_free_megabytes: float = Field(
        default=512,
        ge=0,
        description="millions of bytes that must be free on its disk for the embedded store to take anything; below "
        "them `status` and the heartbeat call a disk low",
    )
    wpp_lake_dagster_url: str | None = Field(
        default=None,
        description="where `status` finds Dagster's webserver",
        examples=["http://127.0.0.1:3000"],
    )

    @classmethod
    def from_environment(cls, **others: Any) -> Self:
        """Read the environment, without its blanks; `others` come before it. Raises SettingsError."""
        env_file.forget_blanks()
        try:
            return cls(**others)
        except ValidationError as error:
            wrong = "; ".join(f"{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors())
            raise SettingsError(f"settings: {wrong}") from None

    @property
    def webhook_secrets(self) -> tuple[bytes, ...]:
        """Every secret that the collector may have signed with, for verifying what is landed."""
        former = (*self.whatsapp_webhook_previous_secrets, *self.whatsapp_webhook_retired_secrets)
        every = (self.whatsapp_webhook_secret, *former)
        return tuple(os.fsencode(secret.get_secret_value()) for secret in every if secret)

    @property
    def erasure_key_bytes(self) -> bytes | None:
        """The erasure key, None where there is none."""
        return os.fsencode(self.erasure_key.get_secret_value()) if self.erasure_key else None

    @property
    def store_keys(self) -> tuple[str, str, str | None] | None:
        """The object store's key, secret and token, if it has one; None where each client finds the machine's own."""
        key, secret, token = self.aws_access_key_id, self.aws_secret_access_key, self.aws_session_token
        if not (key and secret):
            return None
        return key.get_secret_value(), secret.get_secret_value(), token.get_secret_value() if token else None

    @property
    def conninfo(self) -> str:
        """The lake database's libpq connection string."""
        return self.database_url.get_secret_value()
