"""Which process does the work of a Dagster run, so that a run whose process was killed doesn't count as running.

Belongs here: tagging a run with its process, and failing such runs. Not: when it is looked at (sensors).
"""

import os
import socket
from pathlib import Path

import dagster as dg

TAG = "wpp-lake/process"  # the run, for a run made of another one has its tags; host, pid and its namespace, its start
_PIDS = Path("/proc/self/ns/pid")  # containers may share a host's name, and not its process ids
_HOST = f"{socket.gethostname()}/{_PIDS.readlink() if _PIDS.exists() else ''}"
GONE, UNKNOWN = "gone", "unknown"


def tag_run_with_process(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note that this process does the run's work."""
    instance.add_run_tags(run_id, {TAG: f"{run_id} {_HOST} {os.getpid()} {_start(os.getpid())}"})


def fail_orphaned_runs(instance: dg.DagsterInstance) -> None:
    """End the started runs whose process was one of this host, and is gone."""
    started = dg.DagsterRunStatus.STARTED
    for run in filter(_is_orphaned, instance.get_runs(dg.RunsFilter(statuses=[started]))):
        now = instance.get_run_by_id(run.run_id)  # a process says how its run ended before it ends itself
        if now and now.status == started:
            instance.report_run_failed(now, "Its process is gone: it was killed, or the machine stopped.")


def _is_orphaned(run: dg.DagsterRun) -> bool:
    """Tell whether the run's process was one of this host, and is gone."""
    match run.tags.get(TAG, "").split():
        case [run.run_id, host, pid, start] if host == _HOST:
            return _start(int(pid)) not in {start, UNKNOWN}
    return False


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
