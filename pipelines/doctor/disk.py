"""The disks: what is free, whether that is little, and how long it lasts at the rate of the last week.

Belongs here: disks of this machine. Not: those of a store or database elsewhere, which can't be seen from here; what
the embedded stack does on a full one (devstack/disk_guard.py).
"""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pipelines.db.queries import query
from pipelines.doctor.findings import Finding, Level, note
from pipelines.settings import LakeSettings

CHECK = "disk"
GIGABYTE = 1_000_000_000
LEAST_DAYS, FEW_DAYS, MANY_DAYS = 7, 30, 10_000
HERE = {"", "localhost", "127.0.0.1", "::1"}
PARTS = ("postgres", "s3", "dagster", "logs")  # folders of the data directory; each may be a file system of its own
REFUSED_PERCENT = 1  # of a disk: below it the embedded store refuses by itself, which can't be set
AGAIN = 1.1  # what is refused for want of room is taken again once there is so much more, or it would flap


class Disk(TypedDict):
    """A file system: where it is mounted, which parts are on it; low: the store refuses events, or is about to."""

    path: str
    holds: list[str]
    free_bytes: int
    total_bytes: int
    low: bool


def disks(settings: LakeSettings) -> list[Disk]:
    """Return the disks of this machine that are known to hold parts of the lake."""
    found: dict[int, Disk] = {}
    for name, folder in _folders(settings).items():
        if folder.exists():
            disk = found.setdefault(folder.stat().st_dev, _disk(folder, settings.store_min_free_megabytes * 1e6))
            disk["holds"].append(name)
    return list(found.values())


def lowness(disk: Disk) -> str:
    """Return what is to be said of a disk that is low."""
    parts, free = ", ".join(disk["holds"]), disk["free_bytes"] / 1e6
    then = "; the store refuses events, which the collector keeps" if "s3" in disk["holds"] else ""
    return f"the disk of {parts} ({disk['path']}) is low, {free:,.0f} MB are free{then}: make room"


def least_free(least: float, total: int) -> float:
    """Return the free bytes of a disk below which the embedded store refuses, where `least` is set."""
    return max(least, total * REFUSED_PERCENT / 100)


def _folders(settings: LakeSettings) -> dict[str, Path]:
    """Return the folders of the parts that are here: all of the embedded stack's, else Dagster's and a database's."""
    if folder := settings.wpp_lake_data_dir:
        return {name: folder / name for name in PARTS}
    if folder := settings.dagster_home:
        return dict.fromkeys(["dagster", *(["postgres"] if _is_here(settings) else [])], folder)
    return {}


def _disk(folder: Path, least: float) -> Disk:
    real, (total, _, free) = folder.resolve(), shutil.disk_usage(folder)
    mounted = next(each for each in (real, *real.parents) if each.is_mount())
    low = free < least_free(least, total) * AGAIN
    return {"path": str(mounted), "holds": [], "free_bytes": free, "total_bytes": total, "low": low}


def check(settings: LakeSettings) -> Iterator[Finding]:
    """Look at the disks that fill: those of the embedded store and database, else of a database on this machine."""
    fill = days_left(settings)
    if not fill:
        yield note(CHECK, "the store's and the database's disks are elsewhere, and can't be seen from here")
    yield from (_finding(disk["path"], disk["free_bytes"], days) for disk, days in fill)


def days_left(settings: LakeSettings) -> list[tuple[Disk, float | None]]:
    """Return the disks that fill, each with its days at the rate of the last week; None where nothing landed in it."""
    fill = [disk for disk in disks(settings) if {"postgres", "s3"} & set(disk["holds"])]
    per_day = _growth(settings, whole=settings.wpp_lake_data_dir is not None) if fill else 0
    return [(disk, min(disk["free_bytes"] / per_day, MANY_DAYS) if per_day else None) for disk in fill]


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


def _finding(path: str, free: int, days: float | None) -> Finding:
    """Weigh what is left."""
    level: Level = "ok"
    if days is not None and days < FEW_DAYS:
        level = "note"
    if free < GIGABYTE or (days is not None and days < LEAST_DAYS):
        level = "failure"
    found = f"{free / GIGABYTE:,.1f} GB are free on {path}, {_lasting(days)}"
    return Finding(CHECK, level, found, "" if level == "ok" else "Make room, or move to a larger disk")


def _lasting(days: float | None) -> str:
    if days is None:
        return "and nothing landed within the last week that tells how long it lasts"
    return "for years" if days == MANY_DAYS else f"for about {days:,.0f} days at the rate of the last week"
