"""How often the log says the same, what it remembers for that, and how metrics are divided."""

import logging
import re

import pytest

from receiver.telemetry import REPEAT_SECONDS, Metrics, RateLimitFilter
from receiver.writer import REASON_LENGTH, first_line


def record(reason: str) -> logging.LogRecord:
    """Make a record of one message with a reason."""
    made = logging.LogRecord("receiver", logging.WARNING, __file__, 1, "request %s", ("refused",), None)
    made.reason = reason
    return made


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the time, as a list of one number, that the filter goes by."""
    time = [1000.0]
    monkeypatch.setattr("receiver.telemetry.time.monotonic", lambda: time[0])
    return time


def test_what_repeats_is_said_once_and_counted(now: list[float]) -> None:
    """The next line after the pause tells how many were left out."""
    few, later = RateLimitFilter(), record("a")
    assert [few.filter(record("a")) for _ in range(5)] == [True, False, False, False, False]
    now[0] += REPEAT_SECONDS
    assert few.filter(later)
    assert later.__dict__["details"] == {"reason": "a", "repeated": 4}


def test_a_repeated_line_is_left_out_for_ten_seconds(now: list[float]) -> None:
    """Another message, or another reason, is a line of its own."""
    few, other = RateLimitFilter(), logging.LogRecord("receiver", logging.WARNING, __file__, 1, "else", (), None)
    assert [few.filter(each) for each in (record("a"), record("b"), other)] == [True, True, True]
    now[0] += 9.75
    assert [few.filter(each) for each in (record("a"), record("b"), other)] == [False, False, False]
    now[0] += 0.25
    assert few.filter(record("a"))
    now[0] += 9.75
    assert not few.filter(record("a"))


def test_a_line_has_what_is_known_of_the_event() -> None:
    """Nothing else that a record holds is logged, and nothing that is empty."""
    said = record("a")
    said.__dict__.update(event_id="e", status=401, body="hush", repeated=7)
    assert RateLimitFilter().filter(said)
    assert said.__dict__["details"] == {"event_id": "e", "status": 401, "reason": "a"}


def test_metrics_are_divided_as_answers_and_files_are() -> None:
    """Seconds go from a millisecond to longer than any answer takes, events up to a full file."""
    metrics = Metrics()
    metrics.answered(("/healthz", "", "ok", 200), 0.1)
    metrics.answered(("/healthz", "", "ok", 200), 0.1)
    text = metrics.text().decode()
    seconds = ["0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "10.0",
               "15.0", "+Inf"]  # fmt: skip
    assert re.findall(r'receiver_request_duration_seconds_bucket\{le="([^"]+)",route="/healthz"\}', text) == seconds
    assert re.findall(r'landing_put_duration_seconds_bucket\{le="([^"]+)"\}', text) == seconds
    assert re.findall(r'landing_file_events_bucket\{le="([^"]+)"\}', text) == [
        "1.0", "2.0", "5.0", "10.0", "20.0", "50.0", "100.0", "200.0", "500.0", "1000.0", "5000.0", "+Inf"
    ]  # fmt: skip
    assert 'receiver_requests_total{contract="",outcome="ok",route="/healthz",status="200"} 2.0' in text
    assert re.search(r'^receiver_build_info\{version="[0-9.]+"\} 1\.0$', text, re.MULTILINE)


def test_reasons_that_never_repeat_are_forgotten(now: list[float]) -> None:
    """A thousand different reasons, one a second, leave no trace but of the last seconds."""
    few = RateLimitFilter()
    for number in range(1000):
        assert few.filter(record(str(number)))
        now[0] += 1
    assert len(few._said) <= REPEAT_SECONDS + 1  # noqa: SLF001  (nothing else shows what is kept)


def test_a_reason_of_the_store_is_the_same_for_every_request() -> None:
    """Neither the key nor the time taken is part of it."""
    said = [
        f"Generic S3 error: Error performing PUT http://127.0.0.1:9/b/{key} in {took} - HTTP error: refused"
        for key, took in (("a", "132.398µs"), ("c", "1.5ms"))
    ]
    assert {first_line(OSError(f"{each}\n\nDebug source:")) for each in said} == {
        "Generic S3 error: HTTP error: refused"
    }
    taken = {
        first_line(OSError(f"Object at location whatsapp/{key} is denied for path whatsapp/{key}")) for key in "ab"
    }
    assert len(taken) == 1


def test_a_reason_of_the_store_is_short() -> None:
    assert len(first_line(OSError("x" * 5_000_000))) == REASON_LENGTH
