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
    fill = _filling(disks(settings))
    if not fill:
        yield note(CHECK, "the store's and the database's disks are elsewhere, and can't be seen from here")
        return
    per_day = _growth(settings)
    yield from (_finding(disk["path"], disk["free_bytes"], per_day) for disk in fill)


def days_left(settings: LakeSettings, found: list[Disk]) -> dict[str, float]:
    """Return how many days the disks that fill last at the rate of the last week, by path; none where nothing grows."""
    fill = _filling(found)
    per_day = _growth(settings) if fill else 0.0
    return {disk["path"]: disk["free_bytes"] / per_day for disk in fill} if per_day else {}


def _filling(found: list[Disk]) -> list[Disk]:
    return [disk for disk in found if {"postgres", "s3"} & set(disk["holds"])]


def _is_here(settings: LakeSettings) -> bool:
    """Tell whether the database is on this machine; its folder is taken to be on the disk of Dagster's."""
    host = str(conninfo_to_dict(settings.conninfo).get("host") or "")
    return host in HERE or host.startswith("/")


def _growth(settings: LakeSettings) -> float:
    """Return the bytes per day by which this disk fills.

    Each landed byte costs as much as it did until now: its own place, rows, snapshots; without the files, if those are
    in a store elsewhere.
    """
    with psycopg.connect(settings.conninfo, connect_timeout=5) as conn:
        tables, files, landed, per_day = conn.execute(query("doctor/growth")).fetchone() or (0, 0, 0, 0)
    return float(per_day * (tables + (files if settings.wpp_lake_data_dir else 0)) / landed) if landed else 0.0


def _finding(path: str, free: int, per_day: float) -> Finding:
    """Weigh what is left."""
    days = min(free / per_day, MANY_DAYS) if per_day else MANY_DAYS
    lasts = "for years" if days == MANY_DAYS else f"for about {days:,.0f} days at the rate of the last week"
    level: Level = "ok"
    if days < FEW_DAYS:
        level = "note"
    if days < LEAST_DAYS or free < GIGABYTE:
        level = "failure"
    found = f"{free / GIGABYTE:,.1f} GB are free on {path}, {lasts}"
    return Finding(CHECK, level, found, "" if level == "ok" else "Make room, or move to a larger disk")
