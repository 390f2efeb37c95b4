"""The contracts with the sender: who is authentic, and what an event looks like."""

import pytest
from multidict import CIMultiDict

from receiver.contract import Refusal, check_envelope, check_media, credentials, verify

ID = "0b54fc54-2d1b-5f6b-8c1f-6f2d4f3e9a10"
BODY = b'{"type":"messages.upsert","chat_jid":"1@g.us","payload":{}}'
# Made with openssl: printf '%s.%s' "$ID" "$BODY" | openssl dgst -sha256 -hmac test-secret, and of the body alone.
CURRENT = "66c5b06d275163476fbd32121a88f544241b1af1eac6046dfdf9865c93f6ee0d"
FIRST = "44d9ec96fee73aac190aabe0ff20712f51be933bf71ad54339e069a7f6442ec5"
SECRETS = (b"test-secret",)


def headers(*pairs: tuple[str, str]) -> CIMultiDict[str]:
    """Return the headers of a request."""
    return CIMultiDict(pairs)


def signed(signature: str = CURRENT, event_id: str = ID) -> CIMultiDict[str]:
    """Return the two headers that authenticate."""
    return headers(("X-Signature", signature), ("X-Event-Id", event_id))


def status_of_envelope(body: bytes) -> int | None:
    """Return the status with which a body is refused, or None when it is taken."""
    try:
        check_envelope(body)
    except Refusal as refusal:
        return refusal.status
    return None


def test_current_contract() -> None:
    """The signature covers the event id, a dot and the body."""
    assert verify(SECRETS, "current", ID, CURRENT, BODY) == 0


def test_first_contract() -> None:
    """The signature covers the body alone."""
    assert verify(SECRETS, "first", ID, FIRST, BODY) == 0


@pytest.mark.parametrize(
    ("secrets", "place"),
    [((b"test-secret", b"old"), 0), ((b"new", b"test-secret"), 1), ((b"new", b"", b"test-secret"), 2)],
)
def test_rotation(secrets: tuple[bytes, ...], place: int) -> None:
    """Any of the secrets will do, wherever it stands, and is told from the others."""
    assert verify(secrets, "current", ID, CURRENT, BODY) == place


def test_credentials() -> None:
    """The id is returned as sent, whatever it is; the signature too."""
    assert credentials(signed(event_id="\udcff")) == ("\udcff", CURRENT)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(headers(("X-Event-Id", ID)), id="no signature"),
        pytest.param(headers(("X-Signature", CURRENT)), id="no event id"),
        pytest.param(headers(("X-Signature", CURRENT), *signed().items()), id="two signatures"),
        pytest.param(headers(("X-Event-Id", ID), *signed().items()), id="two event ids"),
        pytest.param(signed(CURRENT.upper()), id="upper case"),
        pytest.param(signed(f"sha256={CURRENT}"), id="prefixed"),
        pytest.param(signed(CURRENT[:-1]), id="short"),
        pytest.param(signed(f"{CURRENT}0"), id="long"),
        pytest.param(signed(f"{CURRENT[:-1]}\n"), id="with a line feed"),
        pytest.param(signed(f"{CURRENT[:-1]}g"), id="not hexadecimal"),
        pytest.param(signed(f"{CURRENT[:-1]}\u0661"), id="a digit of another script"),
        pytest.param(signed(""), id="empty"),
        pytest.param(signed("é" * 64), id="not ASCII"),
        pytest.param(signed("\udcff" * 64), id="not UTF-8"),
    ],
)
def test_no_credentials(given: CIMultiDict[str]) -> None:
    """Headers that can't be a signature of anything get 401: for that nobody needs the body."""
    with pytest.raises(Refusal) as refusal:
        credentials(given)
    assert refusal.value.status == 401


@pytest.mark.parametrize(
    ("event_id", "given", "body"),
    [
        pytest.param(ID, "0" * 64, BODY, id="made up"),
        pytest.param(ID, FIRST, BODY, id="of the other contract"),
        pytest.param(ID.upper(), CURRENT, BODY, id="of the id in another case"),
        pytest.param("\udcff", CURRENT, BODY, id="of another id"),
        pytest.param(ID, CURRENT, BODY + b" ", id="of another body"),
    ],
)
def test_not_authentic(event_id: str, given: str, body: bytes) -> None:
    """A signature of anything else gets 401."""
    with pytest.raises(Refusal) as refusal:
        verify(SECRETS, "current", event_id, given, body)
    assert refusal.value.status == 401


@pytest.mark.parametrize(
    "event_id",
    [
        pytest.param("", id="empty"),
        pytest.param("00000000-0000-0000-0000-000000000000", id="nil"),
        pytest.param("0b54fc542d1b5f6b8c1f6f2d4f3e9a10", id="no dashes"),
        pytest.param("{0b54fc54-2d1b-5f6b-8c1f-6f2d4f3e9a10}", id="braces"),
        pytest.param("0b54fc54-2d1b-5f6b-8c1f-6f2d4f3e9a1g", id="not hexadecimal"),
        pytest.param("0b54fc54-2d1b-5f6b-8c1f-6f2d4f3e9a1\u0661", id="a digit of another script"),
    ],
)
def test_not_a_uuid(event_id: str) -> None:
    """An authentic request whose id is not a UUID gets 400."""
    with pytest.raises(Refusal) as refusal:
        verify(SECRETS, "first", event_id, FIRST, BODY)
    assert refusal.value.status == 400


def test_id_in_upper_case() -> None:
    """An id in upper case is taken."""
    assert verify(SECRETS, "first", ID.upper(), FIRST, BODY) == 0


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; profile=x",
    ],
)
def test_media_taken(content_type: str) -> None:
    """Parameters and case don't matter, as long as the charset is UTF-8."""
    check_media(headers(("Content-Type", content_type), ("Content-Encoding", "identity")))


@pytest.mark.parametrize(
    "given",
    [
        headers(),
        headers(("Content-Type", "")),
        headers(("Content-Type", "text/json")),
        headers(("Content-Type", "application/jsonx")),
        headers(("Content-Type", "application/json; charset=latin-1")),
        headers(("Content-Type", "application/json"), ("Content-Type", "application/json")),
        headers(("Content-Type", "application/json"), ("Content-Encoding", "gzip")),
        headers(("Content-Type", "application/json"), ("Content-Encoding", "identity, br")),
        headers(("Content-Type", "application/json"), ("Transfer-Encoding", "gzip, chunked")),
    ],
    ids=str,
)
def test_media_refused(given: CIMultiDict[str]) -> None:
    """Anything but plain JSON in UTF-8 gets 415."""
    with pytest.raises(Refusal) as refusal:
        check_media(given)
    assert refusal.value.status == 415


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"type":"t","payload":null}', id="null payload"),
        pytest.param(b'{"type":"t","payload":"x"}', id="string payload"),
        pytest.param(b'{"type":"t","payload":{},"chat_jid":null,"group_jid":null}', id="null jids"),
        pytest.param(b'{"type":"t","payload":{},"more":1}', id="an unknown key"),
        pytest.param(b'{"type":"t","payload":{},"occurred_at":"yesterday"}', id="a time that doesn't parse"),
        pytest.param(b'{"type":"t","payload":"\\ud83d"}', id="lone surrogate"),
        pytest.param(b'{"type":"t","payload":1,"\\ud800":1}', id="lone surrogate in a key"),
        pytest.param(b'{"type":"t","payload":{"\\udfff":1e400}}', id="lone surrogate in an inner key"),
        pytest.param(b'{"type":"t","payload":"\\u0000"}', id="NUL escape"),
        pytest.param(b'{"type":"t","payload":1e400}', id="beyond a double"),
        pytest.param(b'{"type":"t","payload":' + b"9" * 5000 + b"}", id="5000 digits"),
        pytest.param(b' \r\n\t{ "type" : "t" , "payload" : 1 }\n', id="white space"),
        pytest.param(b'{"type":"' + b"t" * 100 + b'","payload":1}', id="100 characters of type"),
        pytest.param('{"type":"é","payload":1}'.encode(), id="a type that is not ASCII"),
        pytest.param(b'{"type":"t","payload":1,"chat_jid":"' + b"j" * 255 + b'"}', id="255 characters of jid"),
        pytest.param(b'{"type":"t","payload":' + b"[" * 511 + b"]" * 511 + b"}", id="depth 512"),
        pytest.param(b'{"type":"t","payload":"' + b"[{" * 5000 + b'"}', id="brackets in a string"),
        pytest.param(b'{"type":"t","payload":"\\"' + b"[{" * 5000 + b'\\\\"}', id="brackets among escapes"),
        pytest.param(b'{"type":"t","payload":[' + b"{}," * 5000 + b"0]}", id="wide"),
    ],
)
def test_envelope_taken(body: bytes) -> None:
    """The envelope is in order."""
    assert status_of_envelope(body) is None


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"\\ud83d"', id="a string"),
        pytest.param(b'{"type":"t","payload":NaN}', id="NaN"),
        pytest.param(b'{"type":"t","payload":["\\ud83d",-Infinity]}', id="Infinity after a lone surrogate"),
        pytest.param(b'\xef\xbb\xbf{"type":"t","payload":1}', id="byte order mark"),
        pytest.param(b'\xef\xbb\xbf{"type":"t","payload":"\\ud83d"}', id="byte order mark and a lone surrogate"),
        pytest.param('{"type":"t","payload":1}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"type":"t","payload":"\xff"}', id="not UTF-8"),
        pytest.param(b'{"type":"t","payload":"\xed\xa0\xbd"}', id="a surrogate in UTF-8"),
        pytest.param(b'{"type":"t","payload":"\x01"}', id="a raw control character"),
        pytest.param(b'{"type":"t","payload":1,}', id="a trailing comma"),
        pytest.param(b'{"type":"t","payload":1}{}', id="two documents"),
        pytest.param(b'{"type":"t","payload":1}/**/', id="a comment"),
        pytest.param(b'{"type":"t","payload":01}', id="a leading zero"),
        pytest.param(b'{"type":"t","payload":' + b"[" * 512 + b"]" * 512 + b"}", id="depth 513"),
        pytest.param(b"[" * 1_000_000, id="a million brackets"),
        pytest.param(b'{"payload":1}', id="no type"),
        pytest.param(b'{"type":null,"payload":1}', id="null type"),
        pytest.param(b'{"type":"","payload":1}', id="empty type"),
        pytest.param(b'{"type":5,"payload":1e400}', id="a number as type, beside one beyond a double"),
        pytest.param(b'{"type":-1.5,"payload":"\\ud800"}', id="a number as type, beside a lone surrogate"),
        pytest.param(b'{"type":"t","chat_jid":1e5,"payload":"\\ud800"}', id="a number as chat_jid, the same"),
        pytest.param(b'[{"type":"t","payload":"\\ud800"}]', id="an array with a lone surrogate"),
        pytest.param(b'{"type":"t","\\ud800":1}', id="no payload, beside a lone surrogate"),
        pytest.param(b'{"type":"' + b"t" * 101 + b'","payload":1}', id="101 characters of type"),
        pytest.param(b'{"type":"a\\u0000","payload":1}', id="NUL in the type"),
        pytest.param(b'{"type":"a\\u0085","payload":1}', id="a C1 control in the type"),
        pytest.param(b'{"type":"t"}', id="no payload"),
        pytest.param(b'{"type":"t","payload":1,"chat_jid":{}}', id="an object as chat_jid"),
        pytest.param(b'{"type":"t","payload":1,"group_jid":1}', id="a number as group_jid"),
        pytest.param(b'{"type":"t","payload":1,"participant_jid":false}', id="false as participant_jid"),
        pytest.param(b'{"type":"t","payload":1,"chat_jid":"' + b"j" * 256 + b'"}', id="256 characters of jid"),
    ],
)
def test_envelope_refused(body: bytes) -> None:
    """The body gets 422."""
    assert status_of_envelope(body) == 422


def test_unterminated_string() -> None:
    """A string of a million quotes that never ends is refused, and doesn't take quadratic time to look through."""
    assert status_of_envelope(b"[" * 513 + b'"' + b'\\"' * 1_000_000) == 422


def test_nothing_quoted() -> None:
    """What is refused isn't repeated to the sender."""
    with pytest.raises(Refusal) as refusal:
        check_envelope(b'{"type":"confidential\\u0007","payload":1}')
    assert "confidential" not in str(refusal.value)
