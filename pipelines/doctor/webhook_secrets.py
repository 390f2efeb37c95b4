"""The webhook secrets: whether there is one, whether it can be guessed, whether it was changed for another.

Belongs here: the values, of which nothing is ever told. Not: whether the receiver has the same (receiver).
"""

from collections.abc import Iterator

from pydantic import SecretStr

from pipelines.doctor.findings import Finding, failure, note, ok
from pipelines.settings import LakeSettings

CHECK, FORMER = "secret", "former secrets"
LEAST_BYTES, LEAST_DIFFERENT = 16, 6
PUBLIC = {"test-secret", "changeme", "change-me", "secret", "password"}  # the first one signs the sample
NEW_ONE = "Make one by `openssl rand -hex 32`, for the collector too (docs/deploy.md, Another secret)"


def check(settings: LakeSettings) -> Iterator[Finding]:
    """Look at the secret that senders sign with, and at those before it."""
    present, previous = settings.whatsapp_webhook_secret, settings.whatsapp_webhook_previous_secrets
    faults = list(_faults(settings, present))
    yield from (failure(CHECK, f"WHATSAPP_WEBHOOK_SECRET {fault}", NEW_ONE) for fault in faults)
    if not faults:
        yield ok(CHECK, "WHATSAPP_WEBHOOK_SECRET is there, and can't be guessed")
    for weakness in {weakness for secret in previous for weakness in _weaknesses(secret.get_secret_value())}:
        yield failure(FORMER, f"one of WHATSAPP_WEBHOOK_PREVIOUS_SECRETS, which senders may use, {weakness}", NEW_ONE)
    if previous:
        yield note(
            FORMER,
            f"{len(previous)} in WHATSAPP_WEBHOOK_PREVIOUS_SECRETS: a rotation isn't over",
            'Once `receiver_verified_total{secret="previous"}` no longer grows move them to '
            "WHATSAPP_WEBHOOK_RETIRED_SECRETS",
        )
    else:
        yield ok(FORMER, f"none that a sender may use; {len(settings.whatsapp_webhook_retired_secrets)} retired")


def _faults(settings: LakeSettings, present: SecretStr | None) -> Iterator[str]:
    if present is None:
        yield "isn't set"
        return
    secret = present.get_secret_value()
    yield from _weaknesses(secret)
    if present in settings.whatsapp_webhook_previous_secrets:
        yield "is among the previous ones too"
    if present in settings.whatsapp_webhook_retired_secrets:
        yield "is among the retired ones, which no sender may use"


def _weaknesses(secret: str) -> Iterator[str]:
    """Tell what makes a secret fail or easy to guess."""
    if secret.strip().strip("\ufeff") != secret:
        yield "has white space at an end, which the collector takes away from its own"
    if secret in PUBLIC:
        yield "is a public example"
    elif len(secret.encode(errors="surrogateescape")) < LEAST_BYTES:
        yield f"is shorter than {LEAST_BYTES} bytes"
    elif len(set(secret)) < LEAST_DIFFERENT:
        yield "has few different characters"
