"""The snapshots for notebooks, in one line: as a pandas frame, or as views of a DuckDB connection.

Belongs here: which files those are, and the store's settings for both readers. Not: what to ask of them (notebooks/).
Nobody needs it to read a snapshot, which any Parquet reader does (docs/notebooks.md). Needs the `notebooks` extra.
"""

import datetime as dt
import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import boto3
from psycopg import sql
from pyarrow.dataset import Dataset, dataset
from pyarrow.fs import S3FileSystem
from pydantic import SecretStr

from pipelines import env_file
from pipelines.db.queries import filled, query
from pipelines.errors import WppLakeError
from pipelines.settings import LakeSettings, SettingsError
from pipelines.snapshots.bucket import SnapshotStore
from pipelines.snapshots.schemas import EVENTS, FIELDS, SCHEMAS

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

Day = str | dt.date  # a UTC date, as "2026-05-21" or as a date
TIME_ZONE = "America/Sao_Paulo"  # of the columns of local times, as the views in Postgres have it by default
VIEWS = ("whatsapp_messages", "whatsapp_membership_changes")
READ_BY_VIEWS = (EVENTS, "whatsapp_participant_jids")


class NoSnapshotError(WppLakeError):
    """The bucket has no such snapshot; the message says which there are."""


class BucketSettings(LakeSettings):
    """The lake's settings, for who may read the buckets and not the database."""

    database_url: SecretStr = SecretStr("")


def read(table: str, date: Day | Iterable[Day] | None = None, columns: list[str] | None = None) -> "pd.DataFrame":
    """Return the rows of a snapshot, in the types that `pandas.read_parquet` gives.

    Events: those received on the UTC date or dates named. Other tables: their state on one date, the newest if none is
    named. Raises NoSnapshotError, and ValueError where that would be every event, or a state several times.
    """
    frame: pd.DataFrame = _dataset(table, date).to_table(columns=columns).to_pandas()
    return frame


def describe(table: str) -> "pd.DataFrame":
    """Return type, nullability, meaning, unit and source of each column, as the newest file itself says."""
    import pandas as pd

    schema = _dataset(table, dates(table)[-1]).schema
    notes = [{key.decode(): note.decode() for key, note in (field.metadata or {}).items()} for field in schema]
    types = [{"type": str(field.type), "null": field.nullable} for field in schema]
    return pd.DataFrame([kind | note for kind, note in zip(types, notes, strict=True)], index=schema.names)


def dates(table: str) -> list[str]:
    """Return the UTC dates that a table has snapshots of, the newest last. Raises NoSnapshotError if there are none."""
    known = _snapshots(settings := _settings())
    if table not in known:
        there = ", ".join(known) or "none yet"
        raise NoSnapshotError(f"{settings.snapshot_bucket} has no snapshots of {table}; it has those of: {there}")
    return known[table]


def messages(time_zone: str = TIME_ZONE) -> "pd.DataFrame":
    """Return the messages of every date, a row each, as the view whatsapp_messages has them (docs/tables.md).

    `time_zone` is that of `sent_at_local`. Raises NoSnapshotError, and ValueError for no such time zone.
    """
    return _view("whatsapp_messages", time_zone)


def membership_changes(time_zone: str = TIME_ZONE) -> "pd.DataFrame":
    """Return who came to and went from groups, a row per person and change, as whatsapp_membership_changes has them.

    `time_zone` is that of `changed_at_local`. Raises NoSnapshotError, and ValueError for no such time zone.
    """
    return _view("whatsapp_membership_changes", time_zone)


def _view(name: str, time_zone: str) -> "pd.DataFrame":
    for table in READ_BY_VIEWS:
        dates(table)
    frame: pd.DataFrame = connect(time_zone).view(name).to_arrow_table().to_pandas()
    return frame


def connect(time_zone: str = TIME_ZONE) -> "duckdb.DuckDBPyConnection":
    """Return a DuckDB that reads s3:// addresses of both buckets, with a view of each table that has snapshots.

    The view of events has every date's, the others the newest state; each has the column `date`. Where there are
    snapshots of events and addresses, whatsapp_messages and whatsapp_membership_changes are there too, their local
    times in `time_zone`. The S3 extension comes from its Python package, so that nothing is downloaded. Raises
    SettingsError where there are no keys, and ValueError for no such time zone.
    """
    import duckdb

    if time_zone not in available_timezones():
        raise ValueError(f"no such time zone: {time_zone}")
    lake = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    folder = resources.files("duckdb_extension_httpfs") / "extensions" / f"v{duckdb.__version__}"
    lake.load_extension(str(folder / "httpfs.duckdb_extension"))
    settings = _settings()
    lake.execute(query("notebook/store").decode(), _duckdb_store(settings))
    view = sql.SQL(query("notebook/view").decode())
    known = _snapshots(settings)
    for table, days in known.items():
        address = f"s3://{_file(settings, table, '*' if table == EVENTS else days[-1])}"
        lake.execute(view.format(table=sql.Identifier(table), address=sql.Literal(address)).as_string())
    if set(READ_BY_VIEWS) <= set(known):
        _make_views(lake, time_zone)
    return lake


def _make_views(lake: "duckdb.DuckDBPyConnection", time_zone: str) -> None:
    """Make the views that PostgreSQL has too, from the same text."""
    lake.execute(query("notebook/time_zone").decode(), {"zone": time_zone})
    lake.execute(query("notebook/functions").decode())
    lake.execute(query("notebook/events_now").decode())
    for name in VIEWS:
        text = filled(f"views/{name}", events=sql.Identifier("whatsapp_events_now"))
        lake.execute(filled("notebook/named_view", view=sql.Identifier(name), text=text).as_string())


def _duckdb_store(settings: BucketSettings) -> dict[str, str | bool | None]:
    """Return the values of sql/notebook/store.sql; the keys are found as boto3 finds them."""
    found = boto3.Session().get_credentials()
    if found is None:
        raise SettingsError("settings: no keys of the object store: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")
    keys, region = found.get_frozen_credentials(), settings.aws_region
    endpoint = urlsplit(settings.aws_endpoint_url_s3 or f"https://s3.{region}.amazonaws.com")
    return {
        "key": keys.access_key,
        "secret": keys.secret_key,
        "token": keys.token or "",  # DuckDB sends null as a token
        "region": region,
        "endpoint": endpoint.netloc,
        "ssl": endpoint.scheme == "https",
    }


def _dataset(table: str, date: Day | Iterable[Day] | None) -> Dataset:
    """Open the files of a table's dates, with the newest one's schema: an older one may lack a column."""
    settings, known = _settings(), dates(table)
    wanted = _wanted(table, date, known)
    if missing := [day for day in wanted if day not in known]:
        raise NoSnapshotError(f"no snapshot of {table} of {', '.join(missing)}; there are: {', '.join(known)}")
    files = [_file(settings, table, day) for day in wanted]
    # It takes the keys from the environment.
    store = S3FileSystem(region=settings.aws_region, endpoint_override=settings.aws_endpoint_url_s3)
    newest: Dataset = dataset(files[-1], filesystem=store, format="parquet")
    return dataset(files, schema=newest.schema, filesystem=store, format="parquet")


def _wanted(table: str, date: Day | Iterable[Day] | None, known: list[str]) -> list[str]:
    """Return the dates asked for, in order. Raises ValueError."""
    if date is None:
        if table == EVENTS:
            raise ValueError(f"name a date, or several: {table} has {', '.join(known)}")
        return known[-1:]
    days = [date] if isinstance(date, Day) else date
    wanted = sorted({day if isinstance(day, str) else _utc(day) for day in days})
    if not wanted:
        raise ValueError(f"no date named: {table} has {', '.join(known)}")
    if len(wanted) > 1 and table != EVENTS:
        raise ValueError(f"name one date: several states of {table} would count it several times")
    return wanted


def _utc(day: dt.date) -> str:
    """Return the UTC date of a date, or of a moment."""
    return f"{day.astimezone(dt.UTC) if isinstance(day, dt.datetime) and day.tzinfo else day:%Y-%m-%d}"


def _file(settings: BucketSettings, table: str, date: str) -> str:
    return f"{settings.snapshot_bucket}/{table}/date={date}/{table}.parquet"


def _snapshots(settings: BucketSettings) -> dict[str, list[str]]:
    """Return the dates of each table that has snapshots, the newest last."""
    store = SnapshotStore(settings)
    return {table: days for table in (*SCHEMAS, FIELDS) if (days := store.dates(table))}


def _settings() -> BucketSettings:
    """Read the environment's settings, else those of the nearest `.wpp-lake` in this folder and the ones above it."""
    if not os.environ.get("SNAPSHOT_BUCKET"):
        here = Path.cwd()
        folders = [folder / ".wpp-lake" for folder in (here, *here.parents)]
        env_file.ensure(next((folder for folder in folders if (folder / "env").exists()), folders[0]))
    return BucketSettings.from_environment()
