"""What holds of every body and everybody: nobody who is to be forgotten is left, everybody else stays as they were."""

import base64
import contextlib
import json
import re
from collections import defaultdict
from typing import Any

import pytest
from factories import event_id
from hypothesis import given, settings
from hypothesis import strategies as st
from project import ROOT

from pipelines.landing.format import storable
from pipelines.parsing.extraction import extract
from pipelines.redaction.search import may_hold
from pipelines.redaction.subjects import Subjects, digest, lid_name, phone_name
from pipelines.redaction.walker import numbers_left, redact

KEY = b"0123456789abcdef0123456789abcdef"
SAMPLE = [json.loads(line) for line in (ROOT / "devstack/sample/requests.jsonl").read_bytes().splitlines()]
BODIES = [storable(each["body"].encode("utf-8", "surrogatepass")) for each in SAMPLE]
ADDRESS = re.compile(rb"(?<![0-9])([0-9]{8,20})(?:[._][0-9]+)?(?::[0-9]+)?@(s\.whatsapp\.net|c\.us|lid)")
PHONE, LID, OTHER = "5511987654321", "123456789012345", "5521912345678"


def subjects(*names: str) -> Subjects:
    """Return what an erasure of these names looks for."""
    return Subjects(KEY, [digest(KEY, name) for name in names])


def everybody() -> list[tuple[str, ...]]:
    """Return the names of everybody in the sample, with every LID and phone that are shown together."""
    known: dict[str, set[str]] = defaultdict(set)
    for body in BODIES:
        shown = extract(json.loads(body))
        for person in filter(None, (shown.author, *shown.members, *shown.pairs)):
            for name in person.jids:
                known[name] |= set(person.jids)
        for digits, server in ADDRESS.findall(body):
            name = lid_name(digits.decode()) if server == b"lid" else phone_name(digits.decode())
            known[name].add(name)
    return sorted({tuple(sorted(set().union(*(known[each] for each in names)))) for names in known.values()})


PEOPLE = everybody()


def digits(names: tuple[str, ...]) -> list[str]:
    """Return the digits of these names."""
    return [name.partition("@")[0] for name in names]


def holding(names: tuple[str, ...]) -> list[bytes]:
    """Return the bodies in which these people are, as far as a plain search tells."""
    return [body for body in BODIES if any(each.encode() in body for each in digits(names))]


def everything_in(value: Any) -> str:
    """Return all that JSON says, also in strings that hold JSON or base64."""
    said, waiting = [], [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list):
            waiting += each
        else:
            said.append(str(each))
        if isinstance(each, str):
            waiting += _within(each)
    return "\n".join(said)


def _within(text: str) -> list[Any]:
    found: list[Any] = []
    if not text:
        return found
    with contextlib.suppress(ValueError):
        found.append(base64.b64decode(text, validate=True).decode("latin-1"))
    if text[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            found.append(json.loads(text))
    return found


SAID = {body: everything_in(json.loads(body)) for body in BODIES}


def test_the_sample_has_people() -> None:
    assert len(PEOPLE) > 40
    assert all(map(holding, PEOPLE))


@pytest.mark.parametrize("part", range(6))
def test_nobody_of_the_sample_is_left_when_erased_and_others_stay(part: int) -> None:
    for names in PEOPLE[part::6]:
        who = subjects(*names)
        for body in BODIES:
            if not may_hold(who, body):
                assert not any(each in SAID[body] for each in digits(names))
                continue
            after = redact(who, event_id(), body)
            assert not any(each in everything_in(json.loads(after)) for each in digits(names))
            assert not list(numbers_left(who, after))
            assert redact(who, event_id(), after) is after
            if b"erased" not in after:
                assert after is body


def test_nothing_is_looked_for_in_vain() -> None:
    """Bodies that may hold nobody are the same objects afterwards, whoever is erased."""
    for names in PEOPLE[::9]:
        who = subjects(*names)
        for body in BODIES:
            assert may_hold(who, body) or redact(who, event_id(), body) is body


def one_by_one(body: bytes, *erased: tuple[str, ...]) -> bytes:
    """Redact a body by one erasure after the other."""
    for names in erased:
        body = redact(subjects(*names), event_id(), body)
    return body


@pytest.mark.parametrize("part", range(4))
def test_the_order_of_erasures_makes_no_difference(part: int) -> None:
    for body in BODIES[part::8]:
        those = [each for each in PEOPLE if body in holding(each)]
        if len(those) < 2:
            continue
        first, second = those[0], those[-1]
        together = redact(subjects(*first, *second), event_id(), body)
        assert one_by_one(body, first, second) == together
        assert one_by_one(body, second, first) == together
        assert one_by_one(body, first, second, first, second) == together


def written_in(number: str) -> st.SearchStrategy[Any]:
    """Return JSON that holds a number, in one of the ways in which bodies do."""
    jid = f"{number}@s.whatsapp.net"
    words = st.text(st.characters(exclude_categories=["Cs", "Nd"], exclude_characters="\0@._:"), max_size=9)
    return st.one_of(
        st.sampled_from([jid, f"{number}:7@c.us", number, int(number), f"{number}-1500000000@g.us", {jid: {"a": 1}}]),
        st.sampled_from([{"vcard": f"TEL:+{number}"}, {number: "x"}, {"id": jid, "notify": "Ana"}, [jid, "y"]]),
        st.builds(lambda before, after: f"{before} {number} {after}", words, words),
        st.builds(lambda text: base64.b64encode(f"{text}{jid}".encode()).decode(), words),
        st.sampled_from([
            json.dumps({"id": jid}), json.dumps([json.dumps({"b": jid})]), list(map(str, [number])),
            {"type": "Buffer", "data": list(jid.encode())}, {str(at): byte for at, byte in enumerate(jid.encode())},
        ]),
    )  # fmt: skip


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abcé"\\ ', max_size=4), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
KINDS = st.sampled_from(["messages.upsert", "chats.update", "groups.metadata", "x", "messages.update"])


@st.composite
def bodies(draw: st.DrawFn, *numbers: str) -> bytes:
    """Draw a body that holds these numbers anywhere, written compactly or not, in ASCII or not."""
    payload = {"plain": draw(PLAIN)}
    for number in numbers:
        place: Any = payload
        for key in draw(st.lists(st.sampled_from(["a", "b", "message", "key", "participants"]), max_size=4)):
            place = place.setdefault(key, {})
        free = [key for key in ("c", "participant", "text", "jid", "é") if key not in place]
        place[draw(st.sampled_from(free))] = draw(written_in(number))
    body = {"type": draw(KINDS), "chat_jid": "120363000000000001@g.us", "payload": payload}
    separators = draw(st.sampled_from([(",", ":"), (", ", " : ")]))
    return storable(json.dumps(body, ensure_ascii=draw(st.booleans()), separators=separators).encode())


@settings(max_examples=100, deadline=None)
@given(bodies(PHONE, OTHER))
def test_an_address_is_found_wherever_it_stands(body: bytes) -> None:
    who = subjects(phone_name(PHONE), lid_name(LID))
    assert may_hold(who, body)
    after = redact(who, event_id(), body)
    assert PHONE not in everything_in(json.loads(after))
    assert redact(who, event_id(), after) is after
    assert not list(numbers_left(who, after))


@settings(max_examples=100, deadline=None)
@given(bodies(OTHER))
def test_a_body_without_the_subject_is_the_same_object(body: bytes) -> None:
    assert redact(subjects(phone_name(PHONE), lid_name(LID)), event_id(), body) is body


@settings(max_examples=100, deadline=None)
@given(bodies(PHONE, OTHER))
def test_random_bodies_end_the_same_in_any_order(body: bytes) -> None:
    one, other = (phone_name(PHONE),), (phone_name(OTHER),)
    together = redact(subjects(*one, *other), event_id(), body)
    assert one_by_one(body, one, other) == one_by_one(body, other, one) == together


@settings(max_examples=100, deadline=None)
@given(PLAIN, st.sampled_from(["1E5", "-0.0", "1e400", "12345678901234567890123456789", "1.10"]))
def test_what_is_beside_the_subject_keeps_its_bytes(beside: Any, number: str) -> None:
    kept = '"kept": ' + storable(json.dumps([beside, 0], ensure_ascii=True).encode()).decode()[:-2] + number + "]"
    body = f'{{"type": "x","payload": {{"who":"{PHONE}@c.us", {kept}}}}}'.encode()
    after = redact(subjects(phone_name(PHONE)), event_id(), body)
    assert PHONE.encode() not in after
    assert after.endswith(kept.replace('"kept": ', '"kept":').encode() + b"}}")
