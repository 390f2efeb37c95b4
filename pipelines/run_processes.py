"""Which process does the work of a Dagster run, so that a run whose process was killed doesn't count as running.

Belongs here: telling, and ending such runs as failed. Not: when it is looked at (automation).
"""

import os
import socket
from pathlib import Path

import dagster as dg

TAG = "wpp-lake/process"  # host, pid, and when the process began, in ticks of the system's clock


def tell(instance: dg.DagsterInstance, run_id: str) -> None:
    """Note that this process does the run's work."""
    instance.add_run_tags(run_id, {TAG: _named(socket.gethostname(), str(os.getpid()))})


def end_killed(instance: dg.DagsterInstance) -> None:
    """End the started runs whose process was one of this host, and is gone."""
    for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
        named = run.tags.get(TAG, "")
        host, _, rest = named.partition(" ")
        if host != socket.gethostname() or named == _named(host, rest.partition(" ")[0]):
            continue
        # Only now: a process says how its run ended before it ends itself.
        now = instance.get_run_by_id(run.run_id)
        if now and now.status == dg.DagsterRunStatus.STARTED:
            instance.report_run_failed(now, "Its process is gone: it was killed, or the machine stopped.")


def _named(host: str, pid: str) -> str:
    try:
        stat = Path("/proc", pid, "stat").read_text()
    except OSError:
        return ""
    return f"{host} {pid} {stat.rpartition(')')[2].split()[19]}"
