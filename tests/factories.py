"""Small builders of what the tests send and land: people, groups, events, requests, landed lines."""

import hashlib
import hmac
import json
import uuid
from datetime import UTC, datetime
from typing import Any

from pipelines.parsing.jids import Person
from receiver.landing import Contract, encode_line

SECRET = "test-secret"
RECEIVED = datetime(2026, 5, 21, 4, 14, 2, 123456, tzinfo=UTC)
PATHS: dict[Contract, str] = {
    "current": "/api/webhooks/whatsapp",
    "first": "/api/integrations/whatsapp/events",
}


def group(number: int = 1) -> str:
    """Return a group's address."""
    return f"{120363000000000000 + number}@g.us"


def participant(number: int = 1, *, lid: bool = True, phone: bool = True) -> Person:
    """Return an invented person, with the addresses asked for."""
    return Person(
        f"{910000000000000 + number}" if lid else None,
        f"{5500900000000 + number}" if phone else None,
    )


def message(
    author: Person | None = None, *, text: str = "oi", key: str = "3EB0", chat: str = group(), **payload: Any
) -> dict[str, Any]:
    """Return the payload of a messages.upsert as Baileys 7 has it."""
    addresses = list(author.jids) if author else []
    shown = dict(zip(("participant", "participantAlt"), addresses, strict=False))
    return {
        "key": {"remoteJid": chat, "fromMe": False, "id": key, **shown},
        "messageTimestamp": 1779336842,
        "message": {"conversation": text},
        **payload,
    }


def event(payload: Any = None, *, kind: str = "messages.upsert", chat: str | None = group(), **envelope: Any) -> bytes:
    """Return a body of the current contract."""
    body = {"type": kind, "chat_jid": chat, "payload": message(participant()) if payload is None else payload}
    return json.dumps(body | envelope, ensure_ascii=False).encode("utf-8", "surrogatepass")


def sign(body: bytes, event_id: str, contract: Contract = "current", secret: str = SECRET) -> str:
    """Return the signature that the collector sends."""
    signed = event_id.encode() + b"." + body if contract == "current" else body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def headers(body: bytes, event_id: str, contract: Contract = "current", secret: str = SECRET) -> dict[str, str]:
    """Return the headers that the collector sends."""
    return {
        "Content-Type": "application/json",
        "X-Signature": sign(body, event_id, contract, secret),
        "X-Event-Id": event_id,
    }


def event_id(name: object = "event") -> str:
    """Return the event id of that name, always the same."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(name)))


def line(
    body: bytes, name: object = "event", received_at: datetime = RECEIVED, contract: Contract = "current"
) -> bytes:
    """Return the landed line of a body under the event id of that name."""
    identifier = event_id(name)
    return encode_line(identifier, received_at, contract, sign(body, identifier, contract), body)
