"""The lake's settings, read from the environment once, where a command or Dagster's assembly starts.

Belongs here: names, types and defaults. Not: clients made from them.
"""

import os
from pathlib import Path
from typing import Any, Self

from pydantic import Field, HttpUrl, Json, Secret, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines import env_file
from pipelines.errors import WppLakeError


class SettingsError(WppLakeError):
    """A setting is missing or of the wrong kind; the message names the variables and none of their values."""


class LakeSettings(BaseSettings):
    """Where the lake's parts are. Each field is the environment variable of its upper-case name."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True, validate_default=False)

    database_url: SecretStr
    whatsapp_webhook_secret: SecretStr | None = None
    whatsapp_webhook_previous_secrets: Json[tuple[SecretStr, ...]] = Field(default=())
    whatsapp_webhook_retired_secrets: Json[tuple[SecretStr, ...]] = Field(default=())
    landing_bucket: str = "wpp-landing"
    snapshot_bucket: str = "wpp-snapshots"
    load_verify: bool = True
    silence_hours: float = Field(default=12, gt=0)
    snapshot_minutes: float = Field(default=10, ge=1)
    run_history_days: int = Field(default=30, ge=1)
    aws_endpoint_url_s3: str | None = None
    aws_access_key_id: SecretStr | None = None
    aws_secret_access_key: SecretStr | None = None
    aws_session_token: SecretStr | None = None
    aws_region: str = "us-east-1"
    dagster_postgres_url: SecretStr = SecretStr("")
    dagster_home: Path | None = None
    dagster_grpc_socket: Path | None = None
    wpp_lake_data_dir: Path | None = None
    wpp_lake_receiver_url: str = "http://127.0.0.1:8080"
    wpp_lake_readyz_url: str | None = None
    wpp_lake_dagster_url: str | None = None
    heartbeat_url: Secret[HttpUrl] | None = None
    store_min_free_megabytes: float = Field(default=512, ge=0)

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
