"""The hours and dates by which the lake is divided: those of receipt, in UTC.

Belongs here: the keys of hours and dates, as Dagster's partitions and the command write them. Not: Dagster's partition
definitions (orchestration).
"""

from datetime import UTC, date, datetime, timedelta

from pipelines.errors import WppLakeError

FIRST_DATE = date(2026, 1, 1)  # nothing was collected before it: an older one is a clock's fault, or a typing error


class PartitionKeyError(WppLakeError, ValueError):
    """The key names no hour or date between FIRST_DATE and now."""


def today() -> date:
    """Return the running UTC date."""
    return datetime.now(UTC).date()


def hour_key(hour: datetime) -> str:
    """Return the key of a UTC hour: 2026-05-21-06:00."""
    return f"{hour.date()}-{hour:%H}:00"


def hours_between(first: datetime, last: datetime) -> list[datetime]:
    """Return the UTC hours from one to another, both included. Raises PartitionKeyError where that is backwards."""
    _check_order(first, last)
    return [first + timedelta(hours=number) for number in range(int((last - first) / timedelta(hours=1)) + 1)]


def dates_between(first: date, last: date) -> list[date]:
    """Return the dates from one to another, both included. Raises PartitionKeyError where that is backwards."""
    _check_order(first, last)
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def _check_order(first: date, last: date) -> None:
    if last < first:
        raise PartitionKeyError(f"{last} is before {first}")


def read_hour(key: str) -> datetime:
    """Return the UTC hour of a key, whenever that is. Raises PartitionKeyError."""
    try:
        hour = datetime.strptime(key, "%Y-%m-%d-%H:%M").replace(tzinfo=UTC)
    except ValueError:
        hour = None
    if hour is None or hour_key(hour) != key:
        raise PartitionKeyError(f"{key} is not an hour as 2026-05-21-06:00")
    return hour


def parse_hour(key: str) -> datetime:
    """Return the UTC hour of a key: 2026-05-21-06:00. Raises PartitionKeyError."""
    hour = read_hour(key)
    if hour.date() < FIRST_DATE or hour > datetime.now(UTC):
        raise PartitionKeyError(f"{key} is not an hour from {FIRST_DATE}-00:00 to now")
    return hour


def read_day(key: str) -> date:
    """Return the UTC date of a key, whenever that is. Raises PartitionKeyError."""
    try:
        day = date.fromisoformat(key)
    except ValueError:
        day = None
    if day is None or day.isoformat() != key:
        raise PartitionKeyError(f"{key} is not a date as 2026-05-21")
    return day


def parse_day(key: str) -> date:
    """Return the UTC date of a key: 2026-05-21. Raises PartitionKeyError."""
    day = read_day(key)
    if not FIRST_DATE <= day <= today():
        raise PartitionKeyError(f"{key} is not a date from {FIRST_DATE} to today")
    return day
