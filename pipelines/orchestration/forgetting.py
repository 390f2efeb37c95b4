"""The jobs that keep what was erased erased, and have expire what is older than RETENTION_DAYS.

Belongs here: the runs around the sweep and the expiry. Not: those (privacy), nor the erasures themselves: those are
carried out by the command alone, for a run's configuration, and so Dagster's history, would hold whom they are about.
"""

import dagster as dg

from pipelines.landing.zone import LandingZone
from pipelines.orchestration.failures import explained
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.run_heartbeats import beating
from pipelines.privacy.apply import sweep
from pipelines.privacy.expiry import expire, retention_date
from pipelines.redaction.erasures import ErasureList

RETENTION = "RETENTION_DAYS"  # on whose word what is old expires


@dg.op(out=dg.Out(dg.Nothing))
def sweep_erasures(context: dg.OpExecutionContext) -> None:
    """Take out what erasures cover and is there again: delivered again, restored from a backup, left by a kill."""
    lake = Lake()
    with explained(), beating(context.run_id), lake.database() as conn:
        done = sweep(lake.settings(), conn)
    context.log.info("%s", ", ".join(f"{count} {name}" for name, count in done.counts.items()) or "no erasures")


@dg.job(name="sweep", description="Take out again what erasures cover. As `wpp-lake erase sweep`.")
def sweep_job() -> None:
    """Sweep."""
    sweep_erasures()


@dg.op(out=dg.Out(dg.Nothing))
def expire_old(context: dg.OpExecutionContext) -> None:
    """Remove what was received more than RETENTION_DAYS ago from landing zone, tables and snapshots."""
    lake = Lake()
    with explained(), beating(context.run_id), lake.database() as conn:
        days = lake.settings().retention_days
        if days is None:
            raise dg.Failure("Set RETENTION_DAYS, or expire by hand: `wpp-lake expire --before DATE`")
        done = expire(lake.settings(), conn, retention_date(days), RETENTION, f"the job {expire_job.name}")
    told = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in done.counts.items() if count)
    context.log.info("before %s: %s", retention_date(days), told or "nothing is left of it")


@dg.job(name="expire", description="What is older than RETENTION_DAYS removed. As `wpp-lake expire`.")
def expire_job() -> None:
    """Expire."""
    expire_old()


def is_expiring() -> bool:
    """Tell whether anything expires by itself."""
    return Lake().settings().retention_days is not None


def has_erasures() -> bool:
    """Tell whether there is anything to sweep for."""
    return any(each.lifted_at is None for each in ErasureList(LandingZone(Lake().settings())).entries())
