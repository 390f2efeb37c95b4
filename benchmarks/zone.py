"""What `make scale` lands: the sample multiplied, and what is hard to fold, beside what the real receiver accepts.

Belongs here: which lines, and when they were received. Not: loading and comparing them (scale).
"""

import base64
import json
import re
import socket
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import islice

import obstore
from obstore.store import S3Store

from benchmarks.landings import Landing, Traffic
from benchmarks.running import ROOT, SECRET
from devstack.community.requests import signed
from devstack.community.weeks import BRAZIL, events
from devstack.demo import recorded
from pipelines.cli.replay import replay, sign
from pipelines.landing.format import decode_line
from receiver.landing import encode_line, file_metadata, new_key, signature

FIRST_DAY, HOURS, EVENTS_PER_FILE = 21, 48, 250
AGAIN, REVISED = 40, 37  # every so manieth line is delivered again a day later, with the same body or another one
HANDS = 35  # LIDs, each of which shows three phones
INVENTED = 3000  # events of the invented community, edits and deletions among them
HOSTILE = ROOT / "tests" / "data" / "hostile.jsonl"
HOSTILE_SECRET = "test-secret"  # noqa: S105  public: it signed the hostile requests
_PAYLOAD = re.compile(rb'"payload": ?\{')


def landing_of(lines: int) -> Landing:
    """Return the files of about so many lines, over two UTC dates."""
    return Landing(FIRST_DAY, HOURS, max(1, round(lines / HOURS / EVENTS_PER_FILE)), EVENTS_PER_FILE)


def land(store: S3Store, lines: int, seed: int) -> None:
    """Put the files of about so many lines, with further deliveries and other bodies of some."""
    landing, traffic = landing_of(lines), Traffic(seed)
    step = timedelta(hours=1) / (landing.files_per_hour * landing.events_per_file)
    for hour in landing.hours:
        for file in range(landing.files_per_hour):
            begin = hour + file * landing.events_per_file * step
            made = [traffic.line(begin + number * step) for number in range(landing.events_per_file)]
            _put(store, begin, made)
            _put(store, begin + timedelta(days=1), list(_again(made)))


def land_odd(store: S3Store) -> None:
    """Put the files of what is hard to fold, or put aside."""
    at = datetime(2026, 5, FIRST_DAY, tzinfo=UTC)
    for number, made in enumerate(_hands(at)):
        _put(store, at + timedelta(minutes=number), [made])
    _put(store, at, [*_odd(at)])


def land_again(store: S3Store, content: bytes) -> None:
    """Put a file's lines once more, as a sender that retries, or a restored bucket, would bring them back."""
    _put(store, datetime.now(UTC), [content])


def send(url: str, port: int) -> None:
    """Send the receiver the sample, events of the invented community, and the hostile requests."""
    requests = [sign(each.body, each.headers["X-Event-Id"], SECRET) for each in recorded().requests]
    invented = islice(events(1, datetime.now(BRAZIL).date() - timedelta(days=1)), INVENTED)
    replay([*(each for each in requests if _is_text(each.body)), *signed(invented, SECRET)], url)
    for line in HOSTILE.read_text().splitlines():
        case = json.loads(line)
        if case["store"] and "raw_b64" in case:
            _send_raw(base64.b64decode(case["raw_b64"]), port)


def _is_text(body: str) -> bool:
    try:
        body.encode()
    except UnicodeEncodeError:
        return False
    return True


def _send_raw(request: bytes, port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), 10) as connection, suppress(ConnectionError):
        connection.sendall(request)
        connection.recv(65536)


def _put(store: S3Store, at: datetime, lines: list[bytes]) -> None:
    if lines:
        key, content = new_key(at), b"".join(lines)
        obstore.put(store, key, content, attributes=file_metadata(SECRET.encode(), key, content), mode="create")


def _again(lines: list[bytes]) -> Iterator[bytes]:
    """Yield some lines as delivered again a day later: with the same body, or with another one under the same id."""
    for number, line in enumerate(lines):
        event = decode_line(line)
        later = event.received_at + timedelta(days=1)
        body = bytes(event.body)
        if number % REVISED == 0:
            body = _PAYLOAD.sub(b'"payload":{"revision":1,', body, count=1)
        elif number % AGAIN:
            continue
        made = signature(SECRET.encode(), event.contract, event.event_id.encode(), body)
        yield encode_line(event.event_id, later, event.contract, made, body)


def _hands(at: datetime) -> Iterator[bytes]:
    """Yield messages in which a LID's phone is another one each time; the last one shows the first again."""
    for lid in range(HANDS):
        for turn, phone in enumerate((1, 2, 3, 1)):
            moment = at + timedelta(minutes=turn if lid % 2 else -turn)
            key = {
                "remoteJid": "120363000000000042@g.us", "fromMe": False, "id": f"{lid}-{turn}",
                "participant": f"{77_000_000_000 + lid}@lid",
                "participantAlt": f"{5_599_000_000 + 10 * lid + phone}@s.whatsapp.net",
            }  # fmt: skip
            said = {"messageTimestamp": int(moment.timestamp()), "pushName": f"n. {turn}"}
            payload = {"key": key, **said, "message": {"conversation": "x"}}
            body = {"type": "messages.upsert", "chat_jid": key["remoteJid"], "payload": payload}
            yield _line(f"hands/{lid}/{turn}", at, json.dumps(body).encode())


def _odd(at: datetime) -> Iterator[bytes]:
    """Yield numbers that jsonb is asked about, one that it takes and one that it refuses; a forged line, and none."""
    for number in (b"1e-1000", b"1e-20000"):
        yield _line(f"odd/{number.decode()}", at, b'{"type":"odd.number","payload":{"number":%b}}' % number)
    yield _line("odd/forged", at, b'{"type":"odd.forged","payload":null}', b"another secret")
    yield b"no line\n"


def _line(name: str, at: datetime, body: bytes, secret: bytes = SECRET.encode()) -> bytes:
    event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    return encode_line(event_id, at, "current", signature(secret, "current", event_id.encode(), body), body)
