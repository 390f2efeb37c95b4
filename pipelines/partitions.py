"""The time partitions: hours of receipt for the tables, days for the snapshots; UTC, the running one included."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from pipelines.snapshots import FIRST_DATE

HOURS = dg.HourlyPartitionsDefinition(start_date=f"{FIRST_DATE}-00:00", timezone="UTC", end_offset=1)
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DATE.isoformat(), timezone="UTC", end_offset=1)


class PartitionKeyError(ValueError):
    """Not the key of an hour or a date that there is."""


def hour_key(hour: datetime) -> str:
    """Return the partition key of a UTC hour: 2026-05-21-06:00."""
    return f"{hour.date()}-{hour:%H}:00"


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


# Dagster's tags for a run over one partition, and over a range of them.
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def range_tags(hours: Iterable[datetime]) -> list[dict[str, str]]:
    """Return the tags of the runs that cover these hours: one run a stretch of hours that follow each other."""
    stretches: list[list[datetime]] = []
    for hour in sorted(hours):
        if stretches and hour - stretches[-1][-1] <= timedelta(hours=1):
            stretches[-1].append(hour)
        else:
            stretches.append([hour])
    return [{RANGE_START: hour_key(stretch[0]), RANGE_END: hour_key(stretch[-1])} for stretch in stretches]
