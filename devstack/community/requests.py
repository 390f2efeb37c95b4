"""The events of an invented community as signed requests, such as the collector sends.

Belongs here: bodies, headers, signatures. Not: what happens (weeks), sending (pipelines.cli.replay).
"""

from collections.abc import Iterable, Iterator

import orjson

from devstack.community.weeks import Event
from pipelines.cli.replay import Request
from receiver.landing import signature

PATH = "/api/webhooks/whatsapp"


def signed(events: Iterable[Event], secret: str) -> Iterator[Request]:
    """Yield the request of each event, signed with a secret."""
    for event in events:
        body = orjson.dumps({"type": event.type, "chat_jid": event.chat, "payload": event.payload})
        headers = {
            "Content-Type": "application/json",
            "X-Event-Id": event.id,
            "X-Signature": signature(secret.encode(), "current", event.id.encode(), body),
        }
        yield Request("POST", PATH, headers, body.decode())
