"""One landed line: the row that it becomes, or why it can't."""

import base64
import json
from datetime import UTC, datetime

import pytest
from factories import RECEIVED, SECRET, event, event_id, line, message, participant

from pipelines.landing.authenticity import Verifier
from pipelines.parsing.rows import UnloadableError, read_file, read_line


def test_a_line_becomes_a_row() -> None:
    row = read_line(line(event(message(participant(), text="olá"))))
    assert (str(row.event_id), row.type, row.received_at, row.sanitized) == (
        event_id(),
        "messages.upsert",
        RECEIVED,
        False,
    )
    assert json.loads(bytes(row.payload))["message"] == {"conversation": "olá"}


def test_keys_may_come_in_any_order_and_spacing() -> None:
    landed = json.loads(line(event()))
    shuffled = json.dumps(dict(sorted(landed.items(), reverse=True)), indent=1).replace("\n", " ").encode()
    assert read_line(shuffled).type == "messages.upsert"


def test_the_payload_keeps_every_digit() -> None:
    body = b'{"type":"x","chat_jid":null,"payload":{"n":12345678901234567890123.4500,"e":1e400}}'
    assert bytes(read_line(line(body)).payload) == b'{"n":12345678901234567890123.4500,"e":1e400}'


def test_a_number_past_a_double_leaves_the_others_as_they_are() -> None:
    time = b'{"low":-835234126,"high":409}'
    body = b'{"type":"messages.reaction","payload":{"x":1e400,"reaction":{"senderTimestampMs":' + time + b"}}}"
    assert read_line(line(body)).shown.occurred_at == datetime(2025, 10, 10, 13, 2, 37, 234000, tzinfo=UTC)


def test_a_null_payload_is_one() -> None:
    assert bytes(read_line(line(b'{"type":"x","payload":null}')).payload) == b"null"


@pytest.mark.parametrize(
    ("sent", "stored", "sanitized"),
    [
        (rb"a\u0000b", rb"a\ufffdb", True),
        (rb"\ud83d", rb"\ufffd", True),
        (rb"\ude00\ud83d", rb"\ufffd\ufffd", True),
        (rb"\ud83d\ude00", rb"\ud83d\ude00", False),
        (rb"\\u0000", rb"\\u0000", False),
        (rb"\\\u0000", rb"\\\ufffd", True),
    ],
)
def test_only_nul_and_lone_surrogates_are_replaced(sent: bytes, stored: bytes, sanitized: bool) -> None:
    row = read_line(line(b'{"type":"x","payload":"' + sent + b'"}'))
    assert (bytes(row.payload), row.sanitized) == (b'"' + stored + b'"', sanitized)


def test_another_value_that_reads_the_same_is_not_the_body() -> None:
    body = rb'{"type":"x","payload":"\ufffd"}'
    noted = line(body).replace(b'"body":', b'"note":' + body.replace(b"fffd", b"0000") + b',"body":')
    assert (read_line(noted).body_sha256, read_line(noted).sanitized) == (read_line(line(body)).body_sha256, False)


def test_the_digest_is_that_of_the_signed_bytes() -> None:
    pretty, compact = b'{"type":"x",\n"payload":1}', b'{"type":"x", "payload":1}'
    assert read_line(line(pretty)).body_sha256 != read_line(line(compact)).body_sha256


def test_the_event_is_what_was_signed_whatever_stands_beside_it() -> None:
    landed = read_line(line(b'{"type":"x",\n"payload":{"n":1}}').replace(b'"n":1', b'"n":2'))
    assert bytes(landed.payload) == b'{"n":1}'


def body_of(text: bytes) -> bytes:
    """Return a line with any text in the place of its body."""
    return line(b'{"type":"x","payload":0}').replace(b'{"type":"x","payload":0}', text)


def raw(text: bytes) -> bytes:
    """Return a line whose signed bytes, which it has apart, are any text."""
    return line(event()).replace(b'"body":', b'"raw":"' + base64.b64encode(text) + b'","body":')


@pytest.mark.parametrize(
    ("landed", "reason"),
    [
        (b"", "bad_line"),
        (b"not json", "bad_line"),
        (b"\xff\xfe", "bad_line"),
        (b"[]", "bad_line"),
        (b"null", "bad_line"),
        (b"{}", "bad_line"),
        (line(event())[:-20], "bad_line"),
        (line(event()).replace(b'"current"', b'"next"'), "bad_line"),
        (line(event()).replace(b'+00:00"', b'"').replace(b"123456Z", b"123456"), "bad_line"),
        (line(event()).replace(event_id().encode(), b"not-a-uuid"), "bad_event_id"),
        (line(event()).replace(b'"body"', b'"raw":"?","body"'), "bad_line"),
        (line(event()).replace(b'"body"', '"raw":"é","body"'.encode()), "bad_line"),
        (line(event()).replace(b"2026-05-21T04:14:02.123456Z", b"0001-01-01T00:00:00+23:59"), "bad_line"),
        (body_of(b"[1]"), "bad_envelope"),
        (body_of(b'{"payload":1}'), "bad_envelope"),
        (body_of(b'{"type":1,"payload":1}'), "bad_envelope"),
        (body_of(b'{"type":"","payload":1}'), "bad_envelope"),
        (body_of(b'{"type":"' + b"x" * 101 + b'","payload":1}'), "bad_envelope"),
        (body_of(b'{"type":"x"}'), "bad_envelope"),
        (body_of(b'{"type":"x","payload":"\xff"}'), "bad_utf8"),
        (body_of(b'{"type":"x","payload":"' + b"\xff" + b'","n":1e400}'), "bad_utf8"),
        (raw(b"not json"), "bad_json"),
        (raw(b'{"type":"x","payload":NaN}'), "bad_json"),
        (raw(b'{"type":"x","payload":' + b"[" * 100_000), "bad_json"),
        (body_of(b'{"type":"x","payload":' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"), "bad_line"),
    ],
)
def test_what_is_no_event_is_told_why(landed: bytes, reason: str) -> None:
    with pytest.raises(UnloadableError) as refused:
        read_line(landed)
    assert refused.value.reason == reason


def test_the_detail_never_holds_the_content() -> None:
    with pytest.raises(UnloadableError) as refused:
        read_line(line(event(message(text="segredo")))[:-5])
    assert "segredo" not in refused.value.detail


@pytest.mark.parametrize("value", ["segredo", "segredo isn't", 'segredo "is"', "'segredo' \"it's\" 'x'"])
def test_a_contract_that_is_none_is_not_repeated(value: str) -> None:
    landed = json.dumps(json.loads(line(event())) | {"contract": value}).encode()
    with pytest.raises(UnloadableError) as refused:
        read_line(landed)
    assert (refused.value.reason, "segredo" in refused.value.detail) == ("bad_line", False)


def test_an_event_id_is_read_in_either_case() -> None:
    landed = line(event()).replace(event_id().encode(), event_id().upper().encode())
    assert read_line(landed).event_id == event_id()


@pytest.mark.parametrize("length", [1, 100])
def test_a_type_has_one_to_a_hundred_characters(length: int) -> None:
    assert read_line(body_of(b'{"type":"' + b"x" * length + b'","payload":1}')).type == "x" * length


def test_a_row_is_of_the_time_that_its_body_names_else_of_its_receipt() -> None:
    timed, untimed = (read_line(line(event(message(messageTimestamp=each)))) for each in (1779000000, None))
    assert timed.observed_at == datetime(2026, 5, 17, 6, 40, tzinfo=UTC)
    assert untimed.observed_at == RECEIVED


def test_a_row_and_what_it_shows_stay_as_they_were_read() -> None:
    row = read_line(line(event(message(participant()))))
    for read in (row, row.shown, row.shown.author):
        with pytest.raises((AttributeError, TypeError)):
            setattr(read, "type" if read is row else "lid" if read is row.shown.author else "author", None)


@pytest.mark.parametrize(
    ("payload", "doubtful"),
    [
        (b"1", False),
        (b"1e-999", False),
        (b"1e-1000", True),
        (b"1E-1000", True),
        (b"[1,1.5e-0001000]", True),
        (b"0e99999999", False),
        (b"0e999999999", True),
        (b"0E+999999999", True),
        (b'"5f0e999999999"', False),
        (b"1e400", True),
        (b'"' + b"1" * 2047 + b'"', False),
        (b'"' + b"1" * 4096 + b'"', True),
        (b"[" + b"1e99," * 16_760 + b'"' + b" " * (128 << 10) + b'"]', False),
        (b"[" + b"1e99," * 16_761 + b'"' + b" " * (128 << 10) + b'"]', True),
        (b'"' + b" " * (16 << 20) + b'"', True),
        (b'"' + b" " * ((16 << 20) - 100) + b'"', False),
    ],
    ids=range(16),
)
def test_a_payload_that_jsonb_may_refuse_is_doubtful(payload: bytes, doubtful: bool) -> None:
    assert read_line(body_of(b'{"type":"x","payload":' + payload + b"}")).doubtful is doubtful


def test_a_body_of_just_the_longest_length_is_not_doubtful() -> None:
    body = b'{"type":"x","payload":"%b"}'
    longest = (16 << 20) - len(body % b"")
    assert [read_line(body_of(body % (b" " * each))).doubtful for each in (longest, longest + 1)] == [False, True]


def test_a_file_that_the_store_does_not_give_has_no_lines() -> None:
    with pytest.raises(UnloadableError) as refused:
        read_file(b"", "gone")
    assert (str(refused.value), refused.value.reason) == ("unreadable_file: gone", "unreadable_file")


@pytest.mark.parametrize("content", [b"\xff\n", b"\0\n", b"a\0\n" + line(event())[:-9] + b"\n"])
def test_a_file_that_is_no_text_and_has_no_landed_line_is_unreadable(content: bytes) -> None:
    with pytest.raises(UnloadableError) as refused:
        read_file(content, None)
    assert (refused.value.reason, refused.value.detail) == ("unreadable_file", f"{len(content)} bytes that aren't text")


@pytest.mark.parametrize("content", [b"text\n", b"\xff\n" + line(event()), line(event()) + b"\0\n"])
def test_a_file_of_text_or_with_a_landed_line_is_read_line_by_line(content: bytes) -> None:
    assert read_file(content, None) == content.split(b"\n")[:-1]


def test_a_line_is_read_only_where_its_signature_verifies() -> None:
    assert read_line(line(event()), Verifier([SECRET.encode()])).type == "messages.upsert"
    with pytest.raises(UnloadableError) as refused:
        read_line(line(event()), Verifier([b"another secret"]))
    assert refused.value.reason == "not_authentic"
