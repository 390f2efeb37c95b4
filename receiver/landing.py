"""The landing format, written: object keys and JSON lines. `pipelines.landing.format` reads them.

Belongs here: what a landing file is called and what one of its lines holds. Not: HTTP, object stores, tables.
"""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

import uuid_utils

PREFIX = "whatsapp/"
Contract = Literal["current", "first"]
NEWLINES_TO_SPACES = bytes.maketrans(b"\r\n", b"  ")


def signature(secret: bytes, contract: Contract, event_id: bytes, body: bytes) -> str:
    """Return what the collector sends as X-Signature: lowercase hex HMAC-SHA256 of what the contract signs."""
    signed = body if contract == "first" else event_id + b"." + body
    return hmac.digest(secret, signed, "sha256").hex()


def key_id(secret: bytes) -> str:
    """Return the public name of a secret, 8 hex digits, so that one that is missing can be told."""
    return hmac.digest(secret, b"key id", "sha256").hex()[:8]


def file_metadata(secret: bytes, key: str, content: bytes) -> dict[str, str]:
    """Return what is put beside a landing file. The mac covers what no signature does: times of receipt, say."""
    digest = hashlib.sha256(content).hexdigest()
    mac = hmac.digest(secret, f"{key}\n{digest}".encode(), "sha256").hex()
    return {"sha256": digest, "mac": mac, "key_id": key_id(secret)}


def hour_prefix(moment: datetime) -> str:
    """Return the key prefix of the UTC hour that holds `moment`: `whatsapp/date=YYYY-MM-DD/hour=HH/`."""
    utc = moment.astimezone(UTC)
    return f"{PREFIX}date={utc.date()}/hour={utc:%H}/"


def new_key(received_at: datetime) -> str:
    """Return a key never used before, in the hour of `received_at`; time-ordered within one clock (UUIDv7)."""
    return f"{hour_prefix(received_at)}{uuid_utils.uuid7()}.jsonl"


@lru_cache(1)
def _second(epoch: int) -> str:
    """Return a UTC time without its zone: kept for the events of the same second, for it is slow to make."""
    return datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None).isoformat()


def encode_line(event_id: str, received_at: datetime, contract: Contract, signature: str, body: bytes) -> bytes:
    """Return the landed line of one verified event, its newline included.

    The caller has verified that `event_id` is a UUID, `signature` lowercase hex and `body` one strict JSON document,
    so that raw CR and LF can only stand between tokens, where a space means the same. They, and blanks around the
    body, which no JSON parser would give back, are kept in `raw`.
    """
    moment = f"{_second(int(received_at.timestamp()))}.{received_at.microsecond:06}"
    head = f'{{"event_id":"{event_id}","received_at":"{moment}Z","contract":"{contract}","signature":"{signature}",'
    if b"\n" in body or b"\r" in body or body[:1].isspace() or body[-1:].isspace():
        head += f'"raw":"{base64.b64encode(body).decode()}",'
        body = body.translate(NEWLINES_TO_SPACES)
    return b'%b"body":%b}\n' % (head.encode(), body)
