"""The time partitions: hours of receipt for the tables, days for the snapshots; UTC, the running one included."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg

from pipelines.snapshots import FIRST_DATE

HOURS = dg.HourlyPartitionsDefinition(start_date=f"{FIRST_DATE}-00:00", timezone="UTC", end_offset=1)
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DATE.isoformat(), timezone="UTC", end_offset=1)


class PartitionKeyError(ValueError):
    """Not the key of an hour or a date that there is."""


def hour_key(hour: datetime) -> str:
    """Return the partition key of a UTC hour: 2026-05-21-06:00."""
    return f"{hour:%Y-%m-%d-%H:00}"


def parse_hour(key: str) -> datetime:
    """Return the UTC hour of a partition key. Raises PartitionKeyError."""
    if not (key.endswith(":00") and HOURS.has_partition_key(key)):
        raise PartitionKeyError(f"{key} is not an hour from 2026-01-01-00:00 to now")
    return datetime.strptime(key, "%Y-%m-%d-%H:%M").replace(tzinfo=UTC)


def parse_day(key: str) -> date:
    """Return the UTC date of a partition key: 2026-05-21. Raises PartitionKeyError."""
    if not DAYS.has_partition_key(key):
        raise PartitionKeyError(f"{key} is not a date from 2026-01-01 to today")
    return date.fromisoformat(key)


def stretches(hours: list[datetime]) -> list[tuple[datetime, datetime]]:
    """Join hours that follow each other to stretches, each given by its first and last hour."""
    joined: list[tuple[datetime, datetime]] = []
    for hour in sorted(hours):
        if joined and hour - joined[-1][1] == timedelta(hours=1):
            joined[-1] = (joined[-1][0], hour)
        else:
            joined.append((hour, hour))
    return joined
