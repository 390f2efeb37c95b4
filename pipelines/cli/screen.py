"""The status of a lake on a screen: a verdict, then a section for each part of it; once, or again and again.

Belongs here: words, columns, colours. Not: gathering (status). A terminal gets colours, unless NO_COLOR is set.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from pipelines.cli.options import colours
from pipelines.cli.processes import Process
from pipelines.cli.status import Lateness, Status, faults, notes
from pipelines.doctor.disk import MANY_DAYS, Disk
from pipelines.snapshots.schemas import EVENTS, FIELDS, SCHEMAS

WIDTH = 100
EVERY_SECONDS = 3.0
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
NAMED = 5  # of failed runs, and of faults; Dagster's own page has all the runs
BAD, GOOD, TITLE = "bold red", "bold green", "bold"


def show(status: Status) -> None:
    """Print a status."""
    console = _console()
    for line in _screen(status):
        console.print(line, soft_wrap=not console.is_terminal)


def watch(gather: Callable[[], Status]) -> None:
    """Show the status, anew every few seconds, until Ctrl-C; without a terminal, one after the other."""
    console = _console()
    with suppress(KeyboardInterrupt):
        if console.is_terminal:
            _redraw(console, gather)
        while True:
            for line in [*_screen(gather(), told=True), Text()]:
                console.print(line, soft_wrap=True)
            time.sleep(EVERY_SECONDS)


def _redraw(console: Console, gather: Callable[[], Status]) -> None:
    """Show the status in the same place for ever."""
    with Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(Group(*_screen(gather(), told=True)), refresh=True)
            time.sleep(EVERY_SECONDS)


def verdict(status: Status) -> str:
    """Return in one line whether all is well, and how late events are."""
    if wrong := faults(status):
        more = f"; and {len(wrong) - 1} more" if wrong[1:] else ""
        return f"{_cut(f'NOT OK: {wrong[0]}', room=WIDTH - len(more))}{more}"
    late, file = status["lateness"], status["snapshot_files"].get(EVENTS)
    if late is None or late["newest_at"] is None:
        return "OK: no event has come yet"
    delay = late["load_delay"]
    loaded = "in tables" if delay is None else f"in tables after {lasted(delay)}"
    parquet = f"in Parquet as of {_ago(status, file['written_at'])}" if file else "not yet in Parquet"
    where = loaded if late["is_loaded"] else "not yet in tables"
    return f"OK: newest event {_ago(status, late['newest_at'])}, {where}, {parquet}"


def lasted(seconds: float) -> str:
    """Return a length of time in its largest whole unit: 12 s, 6 min, 5 h, 3 d."""
    whole = max(0, round(seconds))
    return next((f"{whole // size} {unit}" for size, unit in UNITS if whole >= size), f"{whole} s")


def _console() -> Console:
    """Return what prints: in colours on a terminal that may have them, never wider than WIDTH."""
    console = Console(highlight=False, color_system=colours())
    console.width = min(console.width, WIDTH) if console.is_terminal else WIDTH
    return console


def _screen(status: Status, *, told: bool = False) -> Iterator[Text]:
    """Yield the lines; `told`: with the faults and notes, which else are on stderr."""
    yield Text(verdict(status), BAD if faults(status) else GOOD)
    yield from (_cut(f"- {each}", BAD) for each in faults(status)[: NAMED * told])
    yield from (_cut(f"- {each}") for each in notes(status) * told)
    for title, lines in {
        "processes": _processes(status),
        "landing zone": _landing_zone(status),
        "tables and snapshots": _tables(status),
        "quarantine": _quarantine(status),
        "last reconcile": _reconcile(status),
        "failed runs of the last day": _failed_runs(status),
        "disks": (_disk(status, disk) for disk in status["disks"]),
    }.items():
        found = list(lines)
        yield from [Text(), Text(title, TITLE), *found] if found else []


def _processes(status: Status) -> Iterator[Text]:
    for process in status["processes"]:
        well = "healthy" if process["healthy"] else "NOT HEALTHY"
        line = f"{process['name']:<20} {well:<12} pid {process['pid']:<9} {_uptime(status, process)}"
        yield Text(line.rstrip(), "" if process["healthy"] else BAD)


def _uptime(status: Status, process: Process) -> str:
    started_at, restarts = process["started_at"], process["restarts"]
    up = f"up {_since(status, started_at)}" if started_at else ""
    return f"{up:<12} {_many(restarts, 'restart')}" if restarts is not None else up


def _landing_zone(status: Status) -> Iterator[Text]:
    counts, late = status["counts"], status["lateness"]
    if not counts or not late:
        return
    yield Text(f"{'loaded':<28} {_many(counts['loaded_events'], 'line')}; {counts['quarantined']:,} in quarantine")
    yield Text(f"{'waiting':<28} {_waiting(status, late)}")
    yield Text(f"{'listed whole':<28} {_ago(status, late['listed_at']) if late['listed_at'] else 'never'}")
    wrong = {"missing": len(status["missing_files"]), "changed": len(status["changed_files"])}
    yield Text(f"{'missing, changed since':<28} {wrong['missing']:,}, {wrong['changed']:,}", BAD * any(wrong.values()))


def _waiting(status: Status, late: Lateness) -> str:
    """Say what waits; without a listing only the hours that others noted are known."""
    since = late["since"]
    for_how_long = f", the oldest for {_since(status, since)}" if since else ""
    if late["files"] is None:
        return f"not listed{for_how_long}"
    return f"{_many(late['files'], 'file')}{for_how_long}"


def _tables(status: Status) -> Iterator[Text]:
    for table in (*SCHEMAS, FIELDS) if status["rows"] else status["snapshots"]:
        rows = _many(status["rows"][table], "row") if table in status["rows"] else ""
        yield Text(f"{table:<28} {rows:<20} {_newest(status, table)}".rstrip())


def _newest(status: Status, table: str) -> str:
    """Say what the newest snapshot of a table is: as the database knows it, else as the bucket lists it."""
    if file := status["snapshot_files"].get(table):
        return f"{file['date']}: {_many(file['rows'], 'row')}, written {_ago(status, file['written_at'])}"
    return f"{status['snapshots'].get(table) or 'no snapshot yet'}"


def _quarantine(status: Status) -> Iterator[Text]:
    for state, reasons in sorted(status["quarantine"].items(), key=lambda each: each[0] != "open"):
        found = ", ".join(f"{reason} {entries:,}" for reason, entries in reasons.items())
        yield _cut(f"{state:<28} {found}", "yellow" if state == "open" else "")


def _reconcile(status: Status) -> Iterator[Text]:
    found = status["reconcile"]
    if found is None:
        return
    well = f"{_many(len(found['failed']), 'check')} failed:" if found["failed"] else "nothing differs"
    result = well if found["is_whole"] else f"it failed: {_page(status, found['run_id'])}"
    yield Text(f"{_ago(status, found['ended_at']):<28} {result}")
    for check in found["failed"]:
        yield _cut(f"{check['name']:<28} {check['first'] or 'fails'}", BAD if check["is_error"] else "yellow")


def _failed_runs(status: Status) -> Iterator[Text]:
    for run in status["failed_runs"][:NAMED]:
        line = f"{run['job']:<18} {_ago(status, run['failed_at']):<9} {_page(status, run['run_id'])}"
        yield Text(line, "" if run["is_over"] else BAD)
    if left := status["failed_runs"][NAMED:]:
        yield Text(f"and {len(left)} more")


def _disk(status: Status, disk: Disk) -> Text:
    days = status["days_left"].get(disk["path"])
    lasts = "" if days is None else ", for years" if days >= MANY_DAYS else f", {days:,.0f} days left"
    room = f"{disk['free_bytes'] / 1e9:,.1f} of {disk['total_bytes'] / 1e9:,.1f} GB free{lasts}"
    low = ", LOW" if disk["low"] else ""
    return Text(f"{', '.join(disk['holds']):<28} {room} on {disk['path']}{low}", BAD if low else "")


def _page(status: Status, run_id: str) -> str:
    """Return where a run is shown."""
    return f"{status['console'] or ''}/runs/{run_id}"


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _ago(status: Status, moment: datetime) -> str:
    return f"{_since(status, moment)} ago"


def _since(status: Status, moment: datetime) -> str:
    return lasted((status["at"] - moment).total_seconds())


def _cut(text: str, style: str = "", room: int = WIDTH) -> Text:
    """Return a line that fits, whatever it quotes."""
    line = Text(text, style)
    line.truncate(room, overflow="ellipsis")
    return line
