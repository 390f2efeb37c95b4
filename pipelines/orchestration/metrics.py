"""The pipelines' metrics in Prometheus' terms, as the guarded webserver serves them at /metrics.

Belongs here: names, labels, meanings, and how often a scrape may ask. Not: where the figures come from (figures), who
may ask (webserver). No label holds an id, a group or a person.
"""

import asyncio
import logging
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time
from time import monotonic

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from psycopg.errors import QueryCanceled

from pipelines import object_store
from pipelines.doctor.disk import disks
from pipelines.errors import first_line
from pipelines.figures import lake
from pipelines.figures.waiting import waiting
from pipelines.landing.zone import LandingZone
from pipelines.settings import LakeSettings

FRESH_SECONDS = 10.0  # a scrape within them gets what the one before got
PATIENCE_SECONDS = 8.0  # a scrape that takes longer says that the lake isn't up

METRICS: dict[str, tuple[str, ...]] = {
    "wpp_lake_up": ("Whether the database and the landing bucket answered (1) or not (0).",),
    "wpp_lake_pending_files": ("Landing files that wait for their load.",),
    "wpp_lake_oldest_pending_seconds": ("Age of the oldest of them.",),
    "wpp_lake_last_received_timestamp_seconds": ("When the newest event in the tables was first received.",),
    "wpp_lake_load_delay_seconds": ("How long the newest loaded landing file waited for its load.",),
    "wpp_lake_missing_files": ("Loaded landing files that are missing.",),
    "wpp_lake_changed_files": ("Loaded landing files that were changed.",),
    "wpp_lake_quarantined_lines": ("Lines that are open in quarantine.", "reason"),
    "wpp_lake_rows": ("Rows of a table.", "table"),
    "wpp_lake_snapshot_timestamp_seconds": ("When the snapshot of a table's newest date was written.", "table"),
    "wpp_lake_snapshot_stale_seconds": ("How long the oldest change of the events waits for its snapshot.",),
    "wpp_lake_privacy_review_timestamp_seconds": ("When what is kept of people is to be reviewed.",),
    "wpp_lake_disk_free_bytes": ("Free bytes of a disk of this machine that holds parts of the lake.", "holds"),
}

_log = logging.getLogger(__name__)


class Exposition:
    """The metrics of one moment; those that have no value aren't there."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}

    def set(self, name: str, value: float | datetime | None, *labels: str) -> None:
        """Set a metric, a time as Unix counts it; None leaves it out."""
        if value is None:
            return
        if name not in self._gauges:
            meaning, *names = METRICS[name]
            self._gauges[name] = Gauge(name, meaning, names, registry=self._registry)
        gauge = self._gauges[name].labels(*labels) if labels else self._gauges[name]
        gauge.set(value.timestamp() if isinstance(value, datetime) else value)

    def text(self) -> bytes:
        """Return it in Prometheus' text format."""
        return generate_latest(self._registry)


@dataclass
class Metrics:
    """Gathers the metrics, in a thread, once for all the scrapes of some seconds. One per event loop."""

    _gathering: asyncio.Task[bytes] | None = None
    _began: float = 0.0

    async def text(self) -> bytes:
        """Return the exposition, within PATIENCE_SECONDS whatever doesn't answer."""
        is_old = monotonic() > self._began + FRESH_SECONDS
        if self._gathering is None or (is_old and self._gathering.done()):
            self._began = monotonic()
            self._gathering = asyncio.create_task(asyncio.to_thread(self._gather))
        await asyncio.wait({self._gathering}, timeout=PATIENCE_SECONDS)
        return self._gathering.result() if self._gathering.done() else _down().text()

    def _gather(self) -> bytes:
        """Gather everything; what is known without database and store is there also where they don't answer."""
        shown = _down()
        try:
            settings = LakeSettings.from_environment()
            review = datetime.combine(settings.privacy_review_by, time(), UTC)
            shown.set("wpp_lake_privacy_review_timestamp_seconds", review)
            for disk in disks(settings):
                shown.set("wpp_lake_disk_free_bytes", disk["free_bytes"], ",".join(disk["holds"]))
            self._add_lake(shown, settings)
        except Exception as error:  # noqa: BLE001  whatever it is, the scrape says that the lake isn't up
            _log.warning("metrics: %s: %s", type(error).__name__, first_line(error))
        return shown.text()

    def _add_lake(self, shown: Exposition, settings: LakeSettings) -> None:
        """Add what database and landing bucket say: all of it, or nothing."""
        now = datetime.now(UTC)
        with closing(object_store.client(settings, object_store.FOR_A_QUESTION)) as client:
            client.list_objects_v2(Bucket=settings.landing_bucket, MaxKeys=1)
        with lake.connect_quickly(settings) as conn:
            found = lake.figures(conn)
            waits = waiting(conn, LandingZone(settings, patient=False), now)
            with suppress(QueryCanceled):  # a backlog without snapshots may have too many to count: they are left out
                for table, number in lake.known_rows(conn).items():
                    shown.set("wpp_lake_rows", number, table)
        shown.set("wpp_lake_pending_files", waits.files)
        shown.set("wpp_lake_oldest_pending_seconds", _age(waits.since, now))
        _show(shown, found, now)
        shown.set("wpp_lake_up", 1)


def _show(shown: Exposition, found: lake.Figures, now: datetime) -> None:
    """Set what comes from the database's figures."""
    delay = found.newest_file and found.newest_file.delay
    shown.set("wpp_lake_last_received_timestamp_seconds", found.received_at)
    shown.set("wpp_lake_load_delay_seconds", None if delay is None else delay.total_seconds())
    shown.set("wpp_lake_missing_files", found.alarms.missing)
    shown.set("wpp_lake_changed_files", found.alarms.changed)
    for state, reason, entries in found.quarantine:
        if state == lake.OPEN:
            shown.set("wpp_lake_quarantined_lines", entries, reason)
    for file in found.snapshots:
        shown.set("wpp_lake_snapshot_timestamp_seconds", file.written_at, file.table)
    shown.set("wpp_lake_snapshot_stale_seconds", _age(found.stale_since, now))


def _down() -> Exposition:
    shown = Exposition()
    shown.set("wpp_lake_up", 0)
    return shown


def _age(since: datetime | None, now: datetime) -> float:
    """Return the seconds since a moment, 0 without one."""
    return max(0.0, (now - since).total_seconds()) if since else 0.0
