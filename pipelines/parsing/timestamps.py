"""Points in time as payloads write them: numbers of any unit, strings of digits, protobuf Longs, ISO 8601.

Belongs here: one value to one UTC datetime, or None. Not: which field of a payload holds it (rules).
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EARLIEST = datetime(2009, 1, 1, tzinfo=UTC).timestamp()
_LATEST = datetime(2100, 1, 1, tzinfo=UTC).timestamp()
_MICROSECONDS_A_UNIT = (1_000_000, 1_000, 1)  # seconds, milliseconds, microseconds
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,9})?")


def point_in_time(value: Any) -> datetime | None:
    """Return the UTC moment that `value` writes, None where it writes none.

    A number counts seconds, milliseconds or microseconds: the unit is the one that puts it between 2009 and 2100.
    An ISO time without an offset is UTC. No moment is outside those years: it would be a mistake, and newest for ever.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return _from_number(float(value)) if _NUMBER.fullmatch(value) else _from_iso(value)
    if isinstance(value, dict):
        return _from_long(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _from_number(value)
    return None


def _from_number(value: float) -> datetime | None:
    for scale in _MICROSECONDS_A_UNIT:
        microseconds = value * scale
        if _EARLIEST <= microseconds / 1_000_000 < _LATEST:
            return _EPOCH + timedelta(microseconds=round(microseconds))
    return None


def _from_long(value: dict[str, Any]) -> datetime | None:
    """Read protobuf's 64-bit integer as JavaScript spreads it: two halves of 32 bits, the lower one signed."""
    low, high = value.get("low"), value.get("high")
    if isinstance(low, int) and isinstance(high, int):
        return _from_number((high << 32) + (low & 0xFFFFFFFF))
    return None


def _from_iso(value: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value.strip().upper())
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if _EARLIEST <= moment.timestamp() < _LATEST else None
