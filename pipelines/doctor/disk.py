"""The disk: what is free, and how long that lasts while as much is landed per day as in the last week.

Belongs here: disks of this machine. Not: those of a store or database elsewhere, which can't be seen from here.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pipelines.db.queries import query
from pipelines.doctor.findings import Finding, Level, note
from pipelines.settings import LakeSettings

CHECK = "disk"
GIGABYTE = 1_000_000_000
LEAST_DAYS, FEW_DAYS, MANY_DAYS = 7, 30, 10_000
HERE = {"", "localhost", "127.0.0.1", "::1"}


def check(settings: LakeSettings) -> Iterator[Finding]:
    """Look at the disk of the embedded stack, else at that of a database on this machine."""
    folder, whole = settings.wpp_lake_data_dir, True
    if folder is None and _is_here(settings):
        folder, whole = settings.dagster_home, False
    if folder is None:
        yield note(CHECK, "the store's and the database's disks are elsewhere, and can't be seen from here")
        return
    free = shutil.disk_usage(folder).free
    per_day = _growth(settings, whole=whole)
    yield _finding(folder, free, min(free / per_day, MANY_DAYS) if per_day else MANY_DAYS)


def _is_here(settings: LakeSettings) -> bool:
    """Tell whether the database is on this machine; its folder is taken to be on the disk of Dagster's."""
    host = str(conninfo_to_dict(settings.conninfo).get("host") or "")
    return host in HERE or host.startswith("/")


def _growth(settings: LakeSettings, *, whole: bool) -> float:
    """Return the bytes per day by which this disk fills.

    Each landed byte costs as much as it did until now: its own place, rows, snapshots; without the files, if those are
    in a store elsewhere.
    """
    with psycopg.connect(settings.conninfo, connect_timeout=5) as conn:
        tables, files, landed, per_day = conn.execute(query("doctor/growth")).fetchone() or (0, 0, 0, 0)
    return float(per_day * (tables + (files if whole else 0)) / landed) if landed else 0.0


def _finding(folder: Path, free: int, days: float) -> Finding:
    """Weigh what is left."""
    lasts = "for years" if days == MANY_DAYS else f"for about {days:,.0f} days at the rate of the last week"
    level: Level = "ok"
    if days < FEW_DAYS:
        level = "note"
    if days < LEAST_DAYS or free < GIGABYTE:
        level = "failure"
    found = f"{free / GIGABYTE:,.1f} GB are free on the disk of {folder}, {lasts}"
    return Finding(CHECK, level, found, "" if level == "ok" else "Make room, or move to a larger disk")
