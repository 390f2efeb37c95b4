"""The receiver's settings: one frozen object, read from the environment by `__main__` and passed down.

Belongs here: names, defaults, bounds and meanings (of what pipelines/settings.py has too, there). Not: clients.
"""

import os
from functools import cached_property
from typing import Annotated, Self

from pydantic import AfterValidator, AnyHttpUrl, Field, Json, NonNegativeFloat, PositiveInt, SecretStr, ValidationError
from pydantic import model_validator as validates_together
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict


def _trimmed(secret: SecretStr) -> SecretStr:
    """Raise unless a secret is the same when it is trimmed, as the collector does with its own."""
    text = secret.get_secret_value()
    if not text.strip():
        raise PydanticCustomError("blank", "must not be blank")
    if text.strip() != text or text.strip("\ufeff") != text:  # JavaScript's trim takes a byte order mark too
        raise PydanticCustomError("blanks", "must not begin or end with white space")
    return secret


Secret = Annotated[SecretStr, AfterValidator(_trimmed)]


class ReceiverSettings(BaseSettings):
    """The operator's settings: each field is the environment variable of the same name in upper case.

    An empty variable counts as absent. Building it raises pydantic's ValidationError: `complaints` words it.
    """

    model_config = SettingsConfigDict(
        frozen=True, env_ignore_empty=True, validate_default=False, hide_input_in_errors=True
    )

    whatsapp_webhook_secret: Secret
    whatsapp_webhook_previous_secrets: Json[tuple[Secret, ...]] = Field(default=())
    landing_bucket: str = Field(default="wpp-landing", pattern=r"^[^\s/?#%]+$")
    aws_endpoint_url_s3: AnyHttpUrl | None = None  # the store's client reads it, and AWS_* beside it, by itself
    receiver_host: str = Field("127.0.0.1", description="address to listen on")
    receiver_port: int = Field(8080, ge=0, le=65535, description="port to listen on")
    receiver_admin_host: str | None = Field(None, description="address of `RECEIVER_ADMIN_PORT`, else `RECEIVER_HOST`")
    receiver_admin_port: int | None = Field(None, ge=0, le=65535, description="port for readiness and metrics alone")
    receiver_contracts: str = Field(
        "current,first", pattern=r"^(current|first)(,(current|first))*$", description="contracts whose paths exist"
    )
    receiver_max_body_bytes: PositiveInt = Field(8_388_608, description="longest body; a longer one is answered 413")
    receiver_queue_bytes: PositiveInt = Field(67_108_864, description="bytes of bodies in memory; at least the longest")
    receiver_puts_in_flight: PositiveInt = Field(4, description="landing files put at the same time, at most")
    receiver_dedupe_seconds: NonNegativeFloat = Field(60, description="seconds a delivery is remembered; 0: not at all")
    receiver_dedupe_entries: PositiveInt = Field(200_000, description="deliveries remembered, at most")
    receiver_reuse_port: bool = Field(default=False, description="whether processes share the port (SO_REUSEPORT)")

    @validates_together(mode="after")
    def _whole(self) -> Self:
        """Check what no field can know alone."""
        if self.receiver_queue_bytes < self.receiver_max_body_bytes:
            raise PydanticCustomError("queue", "RECEIVER_QUEUE_BYTES must be at least RECEIVER_MAX_BODY_BYTES")
        return self

    @cached_property
    def secrets(self) -> tuple[bytes, ...]:
        """Every secret that verifies, the present one first, as the bytes that key the HMAC."""
        every = (self.whatsapp_webhook_secret, *self.whatsapp_webhook_previous_secrets)
        return tuple(os.fsencode(secret.get_secret_value()) for secret in every)


def complaints(error: ValidationError) -> str:
    """Word a failed build as one line that names each variable and holds no value."""
    details = error.errors(include_input=False, include_context=False)
    return "; ".join(": ".join([*(str(name).upper() for name in each["loc"][:1]), each["msg"]]) for each in details)
