"""How often the log says the same, and what it remembers for that."""

import logging

import pytest

from receiver.telemetry import REPEAT_SECONDS, RateLimitFilter
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
