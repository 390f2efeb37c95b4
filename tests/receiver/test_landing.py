"""The landing format: what is written can be read again, and verified again."""

import re
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipelines.landing.format import LandingLineError, decode_line, storable
from receiver.landing import encode_line, hour_prefix, new_key

ID = "0b54fc54-2d1b-5f6b-8c1f-6f2d4f3e9a10"
AT = datetime(2026, 5, 21, 4, 14, 2, 123456, UTC)

BODIES = [
    pytest.param(b'{"type":"t","payload":{}}', id="plain"),
    pytest.param(b'{ "type" : "t" ,\t"payload" : 1.50E+2 }', id="spaced"),
    pytest.param('{"payload":"a\u2028b\u2029c\u0085d"}'.encode(), id="line separators of Unicode"),
    pytest.param(b'{"payload":"\\u0000 \\ud83d \\udc00"}', id="NUL and lone surrogates"),
    pytest.param(b'{"payload":"\\ud83d\\ude00 \\\\ud83d \\\\u0000"}', id="a pair, and escaped backslashes"),
    pytest.param(b'{\r\n  "payload": 1\r\n}\n', id="raw newlines"),
    pytest.param(b' {"payload":1}\t', id="white space around"),
    pytest.param(b' {"payload":1}', id="white space before"),
    pytest.param(b'{"payload":1}\t', id="white space after"),
    pytest.param(b'{"a":1,"a":2,"payload":1}', id="a key twice"),
]


def line_of(body: bytes) -> bytes:
    """Return the landed line of a body."""
    return encode_line(ID, AT, "current", "ab" * 32, body)


def test_line() -> None:
    """A line holds the envelope's four keys and then the body as it came."""
    assert line_of(b'{"type":"t"}') == (
        b'{"event_id":"0b54fc54-2d1b-5f6b-8c1f-6f2d4f3e9a10","received_at":"2026-05-21T04:14:02.123456Z",'
        b'"contract":"current","signature":"abababababababababababababababababababababababababababababababab",'
        b'"body":{"type":"t"}}\n'
    )


def test_line_with_newlines() -> None:
    """Raw newlines become spaces, and the exact bytes stand beside the body in base64."""
    assert line_of(b'{\r\n"a":1}').endswith(b'"raw":"ew0KImEiOjF9","body":{  "a":1}}\n')


def test_time_is_utc() -> None:
    """A time in another zone is written in UTC, microseconds even when they are zero."""
    local = datetime(2026, 5, 21, 1, 0, tzinfo=timezone(timedelta(hours=-3)))
    assert b'"received_at":"2026-05-21T04:00:00.000000Z"' in encode_line(ID, local, "first", "", b"{}")


@pytest.mark.parametrize("body", BODIES)
def test_signed_bytes_survive(body: bytes) -> None:
    """The bytes that the signature covers can be had from the line."""
    assert decode_line(line_of(body)).signed == body


@pytest.mark.parametrize("body", BODIES)
def test_one_line(body: bytes) -> None:
    """Whatever the body holds, its line has one newline, at its end."""
    assert line_of(body).find(b"\n") == len(line_of(body)) - 1


def test_envelope_survives() -> None:
    """Id, time, contract and signature are read as they were written."""
    event = decode_line(encode_line(ID.upper(), AT, "first", "cd" * 32, b"{}"))
    assert (event.event_id, event.received_at, event.contract, event.signature) == (ID.upper(), AT, "first", "cd" * 32)


def test_keys_in_any_order() -> None:
    """A line that another writer spaced and ordered differently is read too."""
    event = decode_line(
        b'{ "body" : {"a": 1}, "signature":"ab", "contract":"first",'
        b' "received_at":"2026-05-21T04:14:02Z", "event_id":"x", "more":[] }'
    )
    assert bytes(event.body) == b'{"a": 1}'


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"confidential", id="not JSON"),
        pytest.param(b'{"body":"confidential"}', id="keys missing"),
        pytest.param(line_of(b"{}").replace(b"current", b"third"), id="an unknown contract"),
        pytest.param(line_of(b"{}").replace(b"Z", b""), id="a time without an offset"),
        pytest.param(line_of(b'{"a":1')[:-1], id="cut off"),
        pytest.param(line_of(b"[" * 100_000), id="deep"),
    ],
)
def test_not_a_line(line: bytes) -> None:
    """What isn't a landed line is one kind of error, which doesn't quote it."""
    with pytest.raises(LandingLineError) as error:
        decode_line(line)
    assert "confidential" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (rb'"\u0000"', rb'"\ufffd"'),
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uDC00x"', rb'"\ufffdx"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\\u0000 \\ud83d"', rb'"\\u0000 \\ud83d"'),
        (rb'"\\\u0000"', rb'"\\\ufffd"'),
        (b'"plain"', b'"plain"'),
    ],
)
def test_storable(text: bytes, expected: bytes) -> None:
    """Only NUL and lone surrogates are replaced."""
    assert storable(text) == expected


def test_hour_prefix() -> None:
    """A prefix names the UTC date and hour of a moment in any zone."""
    local = datetime(2026, 5, 20, 22, 30, tzinfo=timezone(timedelta(hours=-3)))
    assert hour_prefix(local) == "whatsapp/date=2026-05-21/hour=01/"


def test_key() -> None:
    """A key is its hour's prefix, a UUIDv7 and .jsonl."""
    uuid7 = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    assert re.fullmatch(rf"whatsapp/date=2026-05-21/hour=04/{uuid7}\.jsonl", new_key(AT))


def test_keys_differ() -> None:
    """No key is given twice."""
    assert len({new_key(AT) for _ in range(1000)}) == 1000
