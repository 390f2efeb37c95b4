"""The time partitions: hours of receipt for the tables, days for the snapshots; UTC, the running one included."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import dagster as dg

from pipelines.landing.hours import FIRST_DATE, hour_key

HOURS = dg.HourlyPartitionsDefinition(start_date=f"{FIRST_DATE}-00:00", timezone="UTC", end_offset=1)
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DATE.isoformat(), timezone="UTC", end_offset=1)


# Dagster's tags for a run over one partition, and over a range of them.
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
HOURS_TAG = "hours"  # for people who look at a list of runs


def range_tags(hours: Iterable[datetime]) -> list[dict[str, str]]:
    """Return the tags of the runs that cover these hours: one run per stretch of consecutive hours."""
    stretches: list[list[datetime]] = []
    for hour in sorted(hours):
        if stretches and hour - stretches[-1][-1] <= timedelta(hours=1):
            stretches[-1].append(hour)
        else:
            stretches.append([hour])
    return [_tags(hour_key(stretch[0]), hour_key(stretch[-1])) for stretch in stretches]


def _tags(first: str, last: str) -> dict[str, str]:
    """Return Dagster's tags of a range of hours, and one for people."""
    return {RANGE_START: first, RANGE_END: last, HOURS_TAG: first if first == last else f"{first} to {last}"}
