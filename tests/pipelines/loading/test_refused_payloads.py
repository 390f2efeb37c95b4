"""What jsonb refuses is known, or doubted, before anything of the line is stored."""

import pytest
from factories import event, group, line, message, participant
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from lake import Lake

from pipelines.loading.ledger import LoadCounts
from pipelines.loading.rejections import REFUSALS
from pipelines.parsing.rows import UnloadableError, read_line

# Lengths and exponents around what jsonb takes: 131,072 digits before the point, 16,383 after it.
LENGTHS = st.one_of(
    st.integers(0, 40),
    st.integers(0, 20_000),
    st.sampled_from([4094, 4095, 4096, 4097, 16_382, 16_383, 16_384, 131_071, 131_072, 131_073]),
)
EXPONENTS = st.one_of(
    st.integers(-400, 400),
    st.integers(-20_000, 20_000),
    st.sampled_from([16_383, 131_071, 131_072, 999_999_999, 2**31 - 3, 2**31 - 2, 2**31, 2**63, 10**20]).flatmap(
        lambda size: st.sampled_from([size, -size])
    ),
)


@st.composite
def digits(draw: st.DrawFn) -> str:
    """Return some digits, one of them over and over."""
    return draw(st.sampled_from("0159")) * draw(LENGTHS)


@st.composite
def numbers(draw: st.DrawFn) -> str:
    """Return a JSON number of any size, written in any way."""
    whole = draw(digits()).lstrip("0") or "0"
    fraction = draw(st.one_of(st.just(""), digits(), st.just("0" * 400 + "1")))
    sign, point = draw(st.sampled_from(["", "-"])), "." if fraction else ""
    if draw(st.booleans()):
        return f"{sign}{whole}{point}{fraction}"
    exponent = draw(EXPONENTS)
    plus = draw(st.sampled_from(["", "+"])) if exponent >= 0 else "-"
    zeros = "0" * draw(st.sampled_from([0, 1, 5000]))
    return f"{sign}{whole}{point}{fraction}{draw(st.sampled_from('eE'))}{plus}{zeros}{abs(exponent)}"


@st.composite
def nested(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """Return a value in so many arrays or objects."""
    depth = draw(st.one_of(st.integers(0, 20), st.integers(0, 5000), st.sampled_from([1019, 1020, 1021, 1022, 1023])))
    before, after = draw(st.sampled_from([("[", "]"), ('{"a":', "}"), ('[{"a":', "}]")]))
    return before * depth + draw(inner) + after * depth


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    """Return an array of one value many times."""
    return "[" + ",".join([draw(inner)] * draw(st.sampled_from([0, 1, 100, 10_000]))) + "]"


short = st.one_of(st.sampled_from(["null", '""', '"\\u0000"', '"\\ud83d"', "[]", "1e-16384"]), st.integers().map(str))
payloads = st.one_of(numbers(), numbers(), nested(short), nested(numbers()), arrays(short))


def is_refused(lake: Lake, payload: bytes) -> bool:
    """Tell whether jsonb refuses this, as it does where a row is stored."""
    try:
        lake.connection.execute("select %s::jsonb", [payload.decode()])
    except REFUSALS:
        return True
    return False


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(payload=payloads)
@example("1e131071")
@example("1e131072")
@example("1e-16383")
@example("1e-16384")
@example("0e2147483646")
@example("-0.0E+99999999999")
@example("0." + "0" * 16_382 + "1")
@example("0." + "0" * 16_383 + "1")
@example("9" * 131_072)
@example("9" * 131_073)
@example("0." + "0" * 4000 + "1e4100")
def test_whatever_jsonb_refuses_is_doubted(lake: Lake, payload: str) -> None:
    try:
        row = read_line(line(b'{"type":"x","payload":' + payload.encode() + b"}"))
    except UnloadableError:
        return  # Postgres never sees it
    assert row.doubtful or not is_refused(lake, bytes(row.payload))


def test_a_digest_is_no_exponent() -> None:
    """Hexadecimal holds what looks like one, and would have every fiftieth line of real traffic asked about."""
    payload = b'{"stanzaId":"3EB0E123456789","fileSha256":"5e-1234","n":[1e5,-2.5E+12,0]}'
    assert not read_line(line(b'{"type":"x","payload":' + payload + b"}")).doubtful


@pytest.mark.parametrize(
    "number",
    ["1e131072", "1e-16384", "0e2147483646", "-0.0E+99999999999", "0." + "0" * 16_383 + "1", "9" * 131_073],
    ids=lambda number: number[:20],
)
def test_a_refused_line_leaves_neither_person_nor_group_and_its_neighbours_load(lake: Lake, number: str) -> None:
    message_of_nobody = event(message(participant(2), chat=group(2), key="number"), chat=group(2))
    refused = line(message_of_nobody.replace(b'"number"', number.encode()), 2)
    key = lake.land(line(event(), 1), refused, line(event(), 3))
    assert lake.load() == LoadCounts(files=1, lines=3, loaded=2, quarantined=1)
    assert lake.rows("select landing_key, line_number, reason from quarantined_events") == [
        (key, 2, "refused_by_postgres")
    ]
    assert lake.rows("select external_jid from whatsapp_participants") == [(participant().phone_jid,)]
    assert lake.rows("select external_jid from whatsapp_groups") == [(group(),)]


@pytest.mark.parametrize(
    ("number", "count", "refused"),
    [("1e308", 225_000, True), ("-1E-300", 230_000, True), ("1e308", 200_000, False), ("1e131071", 600, True)],
)
def test_numbers_that_fill_more_than_64_mib_when_written_out_are_refused(
    lake: Lake, number: str, count: int, refused: bool
) -> None:
    """Nobody could read the row again: a snapshot of it would take gigabytes, or fail for good."""
    body = b'{"type":"x","payload":[%s]}' % b",".join([number.encode()] * count)
    lake.land(line(body, 1), line(event(), 2))
    assert lake.load() == LoadCounts(files=1, lines=2, loaded=2 - refused, quarantined=int(refused))
    assert (
        lake.rows("select reason, left(detail, 5) from quarantined_events")
        == [("refused_by_postgres", "54000")] * refused
    )
