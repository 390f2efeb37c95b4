"""The receiver: whether it is ready, and has the same secret, asked as the collector does but with nothing to store.

Belongs here: requests to the receiver. Not: what its key may do in the store (store).
"""

import json
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping

from pipelines.doctor.findings import Finding, failure, note, ok
from pipelines.settings import LakeSettings
from receiver.landing import Contract, signature

READY, POST = "receiver", "signed post"
PATHS: dict[str, Contract] = {
    "/api/webhooks/whatsapp": "current",
    "/api/integrations/whatsapp/events": "first",
}
BODY = b"{}"  # no event: authentic, it is answered 422, and nothing of it is stored
TIMEOUT_SECONDS = 15
OK, UNAUTHORISED, NOT_FOUND, NO_EVENT = 200, 401, 404, 422


def check(settings: LakeSettings, receiver: Mapping[str, str]) -> Iterator[Finding]:
    """Ask whether it is ready, and post what is signed and no event. `receiver` has its own settings, if known."""
    url, admin = settings.wpp_lake_receiver_url, _admin_url(receiver)
    try:
        yield _ready(*_ask(urllib.request.Request(f"{admin or url}/readyz")))  # noqa: S310  the lake's own address
        yield _verified(settings, url)
    except OSError as error:
        yield failure(
            READY, f"nobody answers at {url}: {error}", "Start the receiver, or set WPP_LAKE_RECEIVER_URL right"
        )


def _admin_url(receiver: Mapping[str, str]) -> str | None:
    """Return where readiness has a port of its own."""
    host = receiver.get("RECEIVER_ADMIN_HOST") or receiver.get("RECEIVER_HOST") or "127.0.0.1"
    return f"http://{host}:{receiver['RECEIVER_ADMIN_PORT']}" if receiver.get("RECEIVER_ADMIN_PORT") else None


def _ready(status: int, said: str) -> Finding:
    if status == OK:
        return ok(READY, "it is ready")
    if status == NOT_FOUND:
        return note(READY, "its readiness has a port of its own", "Name its settings by --receiver-env FILE")
    return failure(READY, f"it isn't ready: {status} {said}", "Its log says why; see the findings on the store too")


def _verified(settings: LakeSettings, url: str) -> Finding:
    """Post `{}`, signed, to the contract that there is."""
    if not settings.whatsapp_webhook_secret:
        return note(POST, "not tried without WHATSAPP_WEBHOOK_SECRET")
    secret, status, said = os.fsencode(settings.whatsapp_webhook_secret.get_secret_value()), NOT_FOUND, ""
    for path, contract in PATHS.items():
        status, said = _ask(_signed(url + path, contract, secret))
        if status != NOT_FOUND:
            break
    if status == NO_EVENT:
        return ok(POST, "the receiver verified a signed post, and stored nothing of it")
    if status == UNAUTHORISED:
        return failure(
            POST, "the receiver has another secret than this command, by which landed lines are verified",
            "Give both the same WHATSAPP_WEBHOOK_SECRET, and restart the receiver",
        )  # fmt: skip
    return failure(POST, f"a signed post that is no event was answered {status} {said}, and not 422",
                   "See that WPP_LAKE_RECEIVER_URL leads to the receiver, and nothing else answers")  # fmt: skip


def _signed(url: str, contract: Contract, secret: bytes) -> urllib.request.Request:
    """Return a request as the collector makes it."""
    event_id = str(uuid.uuid4())
    headers = {
        "Content-Type": "application/json",
        "X-Event-Id": event_id,
        "X-Signature": signature(secret, contract, event_id.encode(), BODY),
    }
    return urllib.request.Request(url, BODY, headers)  # noqa: S310  the lake's own address


def _ask(request: urllib.request.Request) -> tuple[int, str]:
    """Return the answer's status, and the error that it names. Raises OSError where there is none."""
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310  the same
            return answer.status, ""
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, _error(refusal.read(10_000))


def _error(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])[:200]
    except (ValueError, LookupError, TypeError):
        return ""
