"""The time partitions: hours of receipt for the tables, days for the snapshots; UTC, the running one included.

Belongs here: where the partitions begin, and the tags that name them. Not: the keys themselves (landing.hours). None
that can't be filled is among them: what lies before the first is loaded, and written, all the same, by runs of no
partition (buttons).
"""

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, timedelta

import dagster as dg
from botocore.exceptions import BotoCoreError, ClientError

from pipelines.landing.hours import FIRST_DATE, PartitionKeyError, hour_key, hours_between, read_hour
from pipelines.landing.zone import first_hour
from pipelines.settings import LakeSettings, SettingsError

Sizes = Mapping[datetime, int | None]  # bytes by hour, None where nobody has counted

SINCE = "PARTITIONS_SINCE"
# Dagster's tags for a run over one partition, and over a range of them.
PARTITION = "dagster/partition"
RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
# A run takes seconds to start: what loads within half a minute isn't worth another one.
RUN_BYTES = 64_000_000
UNKNOWN_BYTES = RUN_BYTES // 24
HOURS_TAG, TO = "hours", " to "  # for people who look at a list of runs, and for the sensor


def begin() -> datetime:
    """Return the first UTC hour that is a partition: that of the setting, else the first landed one, else the running.

    It is asked when the definitions load, and never waits long: without settings or a store the running hour serves.
    Raises SettingsError where the setting is no time.
    """
    running = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    if given := os.environ.get(SINCE):
        try:
            moment = datetime.fromisoformat(given)
        except ValueError:
            raise SettingsError(f"settings: {SINCE}: neither a date nor a time") from None
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(moment.replace(minute=0, second=0, microsecond=0), running)
    try:
        landed = first_hour(LakeSettings.from_environment(), datetime.combine(FIRST_DATE, time(), UTC))
    except (SettingsError, OSError, BotoCoreError, ClientError):
        landed = None
    return min(landed or running, running)


BEGIN = begin()
os.environ[SINCE] = BEGIN.isoformat()  # the runs that this process starts have the same partitions
HOURS = dg.HourlyPartitionsDefinition(start_date=hour_key(BEGIN), timezone="UTC", end_offset=1)
DAYS = dg.DailyPartitionsDefinition(start_date=BEGIN.date().isoformat(), timezone="UTC", end_offset=1)


def is_partition(hour: datetime) -> bool:
    """Tell whether a UTC hour is a partition: it has begun, and isn't before the first."""
    return HOURS.has_partition_key(hour_key(hour))


def stretches(hours: Iterable[datetime]) -> list[tuple[datetime, datetime]]:
    """Return the first and the last hour of each stretch of consecutive hours."""
    found: list[tuple[datetime, datetime]] = []
    for hour in sorted(hours):
        if found and hour - found[-1][1] <= timedelta(hours=1):
            found[-1] = found[-1][0], hour
        else:
            found.append((hour, hour))
    return found


def pieces(sizes: Sizes) -> list[tuple[datetime, datetime]]:
    """Return the first and the last hour of each run that hours with so many bytes are loaded by.

    A run takes hours in a row, of RUN_BYTES together; one that is larger by itself, and 24 whose size nobody knows.
    """
    found: list[tuple[datetime, datetime]] = []
    for first, last in stretches(sizes):
        begin, total = first, 0
        for hour in hours_between(first, last):
            size = UNKNOWN_BYTES if (known := sizes[hour]) is None else known
            if hour > begin and total + size > RUN_BYTES:
                found.append((begin, hour - timedelta(hours=1)))
                begin, total = hour, 0
            total += size
        found.append((begin, last))
    return found


def hours_of(tags: Mapping[str, str]) -> list[datetime]:
    """Return the hours that a run's tags name, none where they name none."""
    first, _, last = tags.get(HOURS_TAG, "").partition(TO)
    try:
        return hours_between(read_hour(first), read_hour(last or first))
    except PartitionKeyError:
        return []


def range_tags(first: datetime, last: datetime) -> dict[str, str]:
    """Return Dagster's tags of a range of hours, and one for people."""
    return {RANGE_START: hour_key(first), RANGE_END: hour_key(last), HOURS_TAG: hours_named(first, last)}


def hours_named(first: datetime, last: datetime) -> str:
    """Name a range of hours for people."""
    return hour_key(first) if first == last else f"{hour_key(first)}{TO}{hour_key(last)}"
