"""Landed lines without somebody who is to be forgotten: they verify with the erasure key, others keep every byte."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from factories import RECEIVED, SECRET, event, event_id, line, message, participant

from pipelines.landing.authenticity import Verifier
from pipelines.landing.format import decode_line, decode_tombstone
from pipelines.parsing.rows import UnloadableError, read_line
from pipelines.redaction.covering import Erasures
from pipelines.redaction.erasures import Erasure
from pipelines.redaction.lines import Change, Eraser, written
from pipelines.redaction.subjects import digest, event_name
from receiver.landing import key_id

KEY = b"0123456789abcdef0123456789abcdef"
HOUR = RECEIVED.replace(minute=0, second=0, microsecond=0)
SUBJECT, OTHER = participant(1), participant(2)
PHONE = str(SUBJECT.phone)
VERIFIER = Verifier([SECRET.encode()], KEY)
OWN, OTHERS = event(message(SUBJECT)), event(message(OTHER))
MENTION = event(message(OTHER, text=f"oi @{PHONE}"))


def erasure(number: int = 1, until: datetime | None = None, *names: str, kind: Any = "person") -> Erasure:
    """Return an erasure of the subject, or of these names."""
    digests = tuple(digest(KEY, name) for name in names or SUBJECT.jids)
    return Erasure(
        f"00000000-0000-7000-8000-00000000000{number}", kind, digests, until, "T-1", "me", RECEIVED, key_id(KEY)
    )


def eraser(*entries: Erasure, by_event: dict[str, list[str]] | None = None) -> Eraser:
    """Return what applies these erasures, or that of the subject."""
    return Eraser(Erasures(KEY, entries or [erasure()], by_event or {}), VERIFIER)


def with_raw(body: bytes) -> bytes:
    """Return the landed line of a body that was sent with line ends between its tokens."""
    return line(body.replace(b'{"type"', b'{\r\n"type"', 1)).removesuffix(b"\n")


def test_a_touched_line_has_no_signature_and_no_raw_and_verifies_with_the_erasure_key() -> None:
    before = with_raw(MENTION)
    assert json.loads(before)["raw"]
    after = eraser().line(before, HOUR)
    assert list(json.loads(after)) == ["event_id", "received_at", "contract", "erased", "mac", "body"]
    landed = decode_line(after)
    assert (landed.event_id, landed.received_at, landed.contract) == (event_id(), RECEIVED, "current")
    assert json.loads(after)["body"]["payload"]["message"] == {"conversation": "oi @[erased]"}
    assert VERIFIER.is_signed(landed, landed.signed)
    assert not Verifier([SECRET.encode()], b"another key of the erasures").is_signed(landed, landed.signed)
    assert not Verifier([SECRET.encode()]).is_signed(landed, landed.signed)
    assert read_line(after, VERIFIER).event_id == event_id()


@pytest.mark.parametrize(("before", "after"), [
    (b"oi @[erased]", b"oi @5521"), (b'"current"', b'"first"'), (b"2026-05-21", b"2026-05-22"),
    (b'"erased":"0', b'"erased":"1'),
    (b'{"event_id":"', b'{"event_id":"0'),
])  # fmt: skip
def test_a_touched_line_that_is_changed_verifies_no_more(before: bytes, after: bytes) -> None:
    changed = eraser().line(line(MENTION).removesuffix(b"\n"), HOUR).replace(before, after, 1)
    assert after in changed
    landed = decode_line(changed)
    assert not VERIFIER.is_signed(landed, landed.signed)


def test_an_own_body_goes_but_for_what_an_event_is() -> None:
    after = json.loads(eraser().line(line(OWN).removesuffix(b"\n"), HOUR))
    assert after["body"] == {
        "type": "messages.upsert", "chat_jid": "120363000000000001@g.us",
        "occurred_at": "2026-05-21T04:14:02+00:00", "payload": {"erased": True},
    }  # fmt: skip


@pytest.mark.parametrize("untouched", [
    line(OTHERS), with_raw(OTHERS), b"", b"no line", b"\xff\xfe", b'{"event_id":1}',
    line(OTHERS).replace(b"oi", b"ola"),
    b'{"broken":"\\u0000 \\t \\/ "Buffer" "0":', line(event(message(OTHER, text="\r\n\u2028\u0085\0\ud800"))),
    line(OTHERS).replace(b'{"event_id"', b'  { "event_id"'),
])  # fmt: skip
def test_a_line_without_the_subject_keeps_every_byte(untouched: bytes) -> None:
    untouched = untouched.removesuffix(b"\n")
    assert eraser().line(untouched, HOUR) is untouched
    content = untouched + b"\n"
    assert eraser().content(content, HOUR) is content


def forged() -> bytes:
    """Return a line that nobody signed."""
    landed = json.loads(line(MENTION))
    return json.dumps(landed | {"signature": "0" * 64}).encode()


TOKENS = {
    "nobody signed it": (forged(), "not_authentic"),
    "it is broken off": (line(MENTION)[:-4], "bad_line"),
    "no line at all": (f"x {PHONE[2:]}".encode(), "bad_line"),
    "base64 in what is no line": (b"x " + base64.b64encode(f"<{PHONE}>".encode()), "bad_line"),
    "raw of a line that is broken off": (with_raw(MENTION).replace(b'"event_id"', b'"event"'), "bad_line"),
    "escapes in what is no line": (b'{"a":"\\u0035\\u0035' + PHONE[2:].encode() + b'"', "bad_line"),
    "bytes in what is no line": (b'{"type":"Buffer","data":' + json.dumps(list(PHONE.encode())).encode(), "bad_line"),
    "not UTF-8": (b"\xff " + PHONE.encode(), "bad_line"),
}


@pytest.mark.parametrize(("before", "reason"), TOKENS.values(), ids=TOKENS)
def test_what_was_no_event_and_holds_the_subject_leaves_a_tombstone(before: bytes, reason: str) -> None:
    after = eraser().line(before, HOUR)
    stone = decode_tombstone(after)
    assert stone is not None
    assert (stone.erased, stone.reason) == (erasure().id, reason)
    assert VERIFIER.is_tombstone(stone)
    assert not Verifier([SECRET.encode()], b"another key of the erasures").is_tombstone(stone)
    assert not VERIFIER.is_tombstone(msgspec.structs.replace(stone, reason="another"))
    assert set(json.loads(after)) == {"erased", "reason", "mac"}
    assert eraser().line(after, HOUR) is after
    with pytest.raises(UnloadableError, match=reason):
        read_line(after, VERIFIER)


def test_a_line_that_nobody_signed_and_that_is_of_an_erased_event_leaves_a_tombstone() -> None:
    one = erasure(1, None, event_name(event_id("one")), kind="event")
    landed = json.loads(line(OTHERS, "one")) | {"signature": "0" * 64}
    after = eraser(one).line(json.dumps(landed).encode(), HOUR)
    assert decode_tombstone(after)
    other = json.dumps(json.loads(line(OTHERS, "two")) | {"signature": "0" * 64}).encode()
    assert eraser(one).line(other, HOUR) is other


def test_what_stands_beside_the_signed_bytes_goes_too() -> None:
    shown = json.loads(with_raw(OTHERS))
    shown["body"]["payload"]["pushName"] = PHONE
    noted = line(OTHERS).removesuffix(b"}\n") + f',"note":"{PHONE:400}"}}'.encode()
    for before in (json.dumps(shown).encode(), noted):
        after = eraser().line(before, HOUR)
        assert PHONE.encode() not in after
        landed = decode_line(after)
        assert VERIFIER.is_signed(landed, landed.signed)
        assert json.loads(landed.signed) == json.loads(OTHERS)


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_number_of_lines_stays(end: bytes) -> None:
    lines = [line(each, name).removesuffix(b"\n") for name, each in enumerate((OTHERS, OWN, MENTION, OTHERS))]
    lines += [b"", b"junk \r \x0b \xe2\x80\xa8 " + PHONE.encode(), b"junk"]
    content = b"\n".join(lines) + end
    after = eraser().content(content, HOUR)
    left = after.split(b"\n")
    assert len(left) == len(content.split(b"\n"))
    assert [new == old for new, old in zip(left, content.split(b"\n"), strict=True)][:7] == [
        True, False, False, True, True, False, True,
    ]  # fmt: skip
    assert after.endswith(end)
    changes = list(eraser().changes(content, HOUR))
    assert [(each.number, each.event_id) for each in changes] == [(2, event_id(1)), (3, event_id(2)), (6, None)]
    assert written(content, changes) == after
    assert eraser().content(after, HOUR) is after


def test_line_ends_in_a_body_are_no_lines() -> None:
    text = f"a\u2028b\u0085c\r\n{PHONE}"
    after = eraser().line(line(event(message(OTHER, text=text))).removesuffix(b"\n"), HOUR)
    assert b"\n" not in after
    assert json.loads(after)["body"]["payload"]["message"]["conversation"] == "a\u2028b\u0085c\r\n[erased]"


def test_halves_of_surrogate_pairs_and_nul_beside_the_subject_become_storable() -> None:
    body = b'{"type":"x","payload":{"a":"\\ud800 \\u0000","b":"' + PHONE.encode() + b'"}}'
    landed = decode_line(eraser().line(line(body).removesuffix(b"\n"), HOUR))
    assert landed.signed == b'{"type":"x","payload":{"a":"\\ufffd \\ufffd","b":"[erased]"}}'
    assert VERIFIER.is_signed(landed, landed.signed)


def test_what_was_received_since_stays_but_for_events_that_were_touched_before() -> None:
    before = line(MENTION).removesuffix(b"\n")
    ends = erasure(1, RECEIVED)
    assert eraser(ends).line(before, HOUR) is before
    assert eraser(erasure(1, RECEIVED + timedelta(microseconds=1))).line(before, HOUR) is not before
    redelivered = eraser(ends, by_event={event_id(): [ends.id]})
    assert PHONE.encode() not in redelivered.line(before, HOUR)
    upper = line(MENTION).removesuffix(b"\n").replace(event_id().encode(), event_id().upper().encode())
    assert decode_tombstone(redelivered.line(upper, HOUR))
    others = line(MENTION, "another").removesuffix(b"\n")
    assert redelivered.line(others, HOUR) is others


def test_what_is_no_line_falls_under_the_erasures_of_its_hour() -> None:
    junk = PHONE.encode()
    assert eraser(erasure(1, HOUR)).line(junk, HOUR) is junk
    assert decode_tombstone(eraser(erasure(1, HOUR + timedelta(seconds=1))).line(junk, HOUR))


def test_a_second_erasure_goes_on_where_the_first_ended() -> None:
    both = event(message(OTHER, text=f"{PHONE} {OTHER.phone}"))
    one, other = erasure(1), erasure(2, None, *OTHER.jids)
    before = line(both).removesuffix(b"\n")
    after = eraser(one, other).line(before, HOUR)
    assert decode_line(after).erased == other.id
    for first, second in ((one, other), (other, one)):
        later = eraser(first, second).line(eraser(first).line(before, HOUR), HOUR)
        assert decode_line(later).signed == decode_line(after).signed
        assert VERIFIER.is_signed(decode_line(later), decode_line(later).signed)


def test_changes_name_the_erasures_by_which() -> None:
    lines = line(MENTION).removesuffix(b"\n")
    [change] = eraser(erasure(1), erasure(2, datetime(2020, 1, 1, tzinfo=UTC))).changes(lines, HOUR)
    assert change == Change(1, event_id(), lines, change.after, frozenset({erasure(1).id}))
