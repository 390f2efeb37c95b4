"""The jobs that keep what was erased erased, and have expire what is older than the settings say.

Belongs here: the runs around the sweep and the expiry. Not: those (privacy), nor the erasures themselves: those are
carried out by the command alone, for a run's configuration, and so Dagster's history, would hold whom they are about.
"""

import dagster as dg

from pipelines.landing.zone import LandingZone
from pipelines.orchestration.failures import explained
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.run_heartbeats import beating
from pipelines.privacy.apply import sweep
from pipelines.privacy.content_expiry import expire_content
from pipelines.privacy.expiry import expire, retention_date
from pipelines.redaction.erasures import ErasureList

# On whose word what is old expires.
RETENTION, RETENTION_OF_CONTENT = "RETENTION_DAYS", "RETENTION_CONTENT_DAYS"


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
    """Remove what was received more than RETENTION_DAYS ago, and content of more than RETENTION_CONTENT_DAYS ago."""
    lake = Lake()
    with explained(), beating(context.run_id), lake.database() as conn:
        settings = lake.settings()
        if not is_expiring():
            raise dg.Failure(f"Set {RETENTION} or {RETENTION_OF_CONTENT}, or expire by hand: `wpp-lake expire`")
        for name, days, carry_out in (
            (RETENTION, settings.retention_days, expire),
            (RETENTION_OF_CONTENT, settings.retention_content_days, expire_content),
        ):
            if days is not None:
                done = carry_out(settings, conn, retention_date(days), name, f"the job {expire_job.name}")
                told = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in done.counts.items() if count)
                context.log.info("%s, before %s: %s", name, retention_date(days), told or "nothing is left of it")


@dg.job(
    name="expire",
    description="What is older than RETENTION_DAYS removed, and content than RETENTION_CONTENT_DAYS. "
    "As `wpp-lake expire`.",
)
def expire_job() -> None:
    """Expire."""
    expire_old()


def is_expiring() -> bool:
    """Tell whether anything expires by itself."""
    settings = Lake().settings()
    return settings.retention_days is not None or settings.retention_content_days is not None


def has_erasures() -> bool:
    """Tell whether there is anything to sweep for."""
    return any(each.lifted_at is None for each in ErasureList(LandingZone(Lake().settings())).entries())
