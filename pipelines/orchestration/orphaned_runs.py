"""Ends Dagster's runs whose process is gone: one that was killed would count as running.

Belongs here: tagging a run with its process, and failing such runs. Not: when it is looked at (sensors).
"""

import json
import os
import socket
from pathlib import Path

import dagster as dg

# JSON, with the run, for a run made of another one has its tags. Its prefix hides it in the web interface.
TAG = ".dagster/wpp-lake-process"
_PIDS = Path("/proc/self/ns/pid")  # containers may share a host's name, and not its process ids
_HOST = f"{socket.gethostname()}/{_PIDS.readlink() if _PIDS.exists() else ''}"
GONE, UNKNOWN = "gone", "unknown"


def tag_run_with_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note that this process does the run's work."""
    instance.add_run_tags(run_id, {TAG: process_tag(run_id, os.getpid(), _start(os.getpid()))})


def process_tag(run_id: str, pid: int, start: str) -> str:
    """Return the tag of a run that a process of this host does."""
    return json.dumps({"run": run_id, "host": _HOST, "pid": pid, "start": start})


def fail_orphaned_runs(instance: dg.DagsterInstance) -> None:
    """End the started runs whose process was one of this host, and is gone."""
    started = dg.DagsterRunStatus.STARTED
    for run in filter(_is_orphaned, instance.get_runs(dg.RunsFilter(statuses=[started]))):
        now = instance.get_run_by_id(run.run_id)  # a process says how its run ended before it ends itself
        if now and now.status == started:
            instance.report_run_failed(now, "Its process is gone: it was killed, or the machine stopped.")


def _is_orphaned(run: dg.DagsterRun) -> bool:
    """Tell whether the run's process was one of this host, and is gone."""
    match _read(run.tags.get(TAG, "")):
        case {"run": run.run_id, "host": host, "pid": int(pid), "start": start} if host == _HOST:
            return _start(pid) not in {start, UNKNOWN}
    return False


def _read(tag: str) -> object:
    """Return what a tag holds; None for none, and for one that older code wrote."""
    try:
        return json.loads(tag)
    except ValueError:
        return None


def _start(pid: int) -> str:
    """Return when a process began, in ticks of the system's clock; GONE if it has ended, UNKNOWN if nobody says."""
    try:
        state, *others = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return GONE
        except PermissionError:
            pass
        return UNKNOWN
    return GONE if state == "Z" else others[18]
