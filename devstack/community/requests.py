"""The events of an invented community as signed requests, such as the collector sends.

Belongs here: bodies. Not: what happens (weeks), signing and sending (pipelines.cli.replay).
"""

from collections.abc import Iterable, Iterator

import orjson

from devstack.community.weeks import Event
from pipelines.cli.replay import Request, sign


def signed(events: Iterable[Event], secret: str) -> Iterator[Request]:
    """Yield the request of each event, signed with a secret."""
    for event in events:
        body = orjson.dumps({"type": event.type, "chat_jid": event.chat, "payload": event.payload})
        yield sign(body.decode(), event.id, secret)
