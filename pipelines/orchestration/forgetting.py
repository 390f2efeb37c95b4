"""The job that keeps what was erased erased.

Belongs here: the run around the sweep. Not: the sweep (privacy), nor the erasures themselves: those are carried out by
the command alone, for a run's configuration, and so Dagster's history, would hold whom they are about.
"""

import dagster as dg

from pipelines.landing.zone import LandingZone
from pipelines.orchestration import orphaned_runs
from pipelines.orchestration.failures import explained
from pipelines.orchestration.resources import Lake
from pipelines.privacy.apply import sweep
from pipelines.redaction.erasures import ErasureList


@dg.op(out=dg.Out(dg.Nothing))
def sweep_erasures(context: dg.OpExecutionContext) -> None:
    """Take out what erasures cover and is there again: delivered again, restored from a backup, left by a kill."""
    orphaned_runs.tag_run_with_process(context.instance, context.run_id)
    lake = Lake()
    with explained(), lake.database() as conn:
        done = sweep(lake.settings(), conn)
    context.log.info("%s", ", ".join(f"{count} {name}" for name, count in done.counts.items()) or "no erasures")


@dg.job(name="sweep", description="Take out again what erasures cover. As `wpp-lake erase sweep`.")
def sweep_job() -> None:
    """Sweep."""
    sweep_erasures()


def has_erasures() -> bool:
    """Tell whether there is anything to sweep for."""
    return any(each.lifted_at is None for each in ErasureList(LandingZone(Lake().settings())).entries())
