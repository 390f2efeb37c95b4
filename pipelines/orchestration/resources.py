"""The resource that gives Dagster's assets, sensors and jobs the lake's parts.

Belongs here: opening what the settings name. Not: what is done with it (assets, sensors).
"""

from datetime import date, datetime

from pipelines.db.connection import Connection, connect
from pipelines.db.migrations import check_schema
from pipelines.landing.zone import LandingZone
from pipelines.loading.pending import list_everything, noted_hours
from pipelines.settings import LakeSettings
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.stale import forget_missing, stale_dates


class Lake:
    """The lake's parts, as the environment names them; read when a run starts."""

    def settings(self) -> LakeSettings:
        """Read the settings. Raises SettingsError."""
        return LakeSettings.from_environment()

    def landing_zone(self) -> LandingZone:
        """Open the landing zone."""
        return LandingZone(self.settings())

    def snapshot_store(self) -> SnapshotStore:
        """Open the snapshot bucket."""
        return SnapshotStore(self.settings())

    def database(self) -> Connection:
        """Connect to the lake's database, in autocommit mode. Raises SchemaError where the schema is another."""
        conn = connect(self.settings())
        try:
            check_schema(conn)
        except BaseException:
            conn.close()
            raise
        return conn

    def pending_hours(self) -> set[datetime]:
        """List the whole landing zone, and return the hours that have files which the ledger doesn't know."""
        with self.database() as conn:
            list_everything(conn, self.landing_zone())
            return set(noted_hours(conn))

    def stale_dates(self, *, listed: bool = True) -> list[date]:
        """Return the dates whose snapshots are stale, today among them; `listed`: or aren't in the bucket any more."""
        with self.database() as conn:
            if listed:
                forget_missing(conn, self.snapshot_store())
            return stale_dates(conn)
