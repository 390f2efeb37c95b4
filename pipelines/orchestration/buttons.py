"""The jobs that people start by hand, with what they take typed and explained in the launchpad; each is a verb too.

Belongs here: their configuration, and what their runs log and report. Not: the work (loading, snapshots, audit), the
jobs that materialise assets by partition (sensors). Hours and dates that are no partitions are loaded and written by
runs of these too.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import dagster as dg
from pydantic import Field

from pipelines.audit.verify import verify
from pipelines.figures.lake import REBUILD
from pipelines.landing.authenticity import Verifier
from pipelines.landing.hours import dates_between, hour_key, hours_between, parse_hour, read_day, read_hour
from pipelines.loading import quarantine
from pipelines.loading.load import AcceptedLoss, load, rebuild
from pipelines.orchestration import reports
from pipelines.orchestration.assets import STATE, write_date
from pipelines.orchestration.checks import check_tables
from pipelines.orchestration.failures import explained
from pipelines.orchestration.history import prune
from pipelines.orchestration.partitions import BEGIN, DAYS
from pipelines.orchestration.resources import Lake
from pipelines.orchestration.run_heartbeats import beating
from pipelines.snapshots.schemas import FIELDS, SCHEMAS

MOST_LOGGED = 100  # lines that fail verification


class Hours(dg.Config):
    """A range of UTC hours of receipt."""

    first: str = Field(description="First UTC hour, as 2026-05-21-06:00.")
    last: str | None = Field(default=None, description="Last UTC hour, included; without it the first one alone.")

    def keys(self) -> list[datetime]:
        """Return the hours. Raises PartitionKeyError."""
        first = read_hour(self.first)
        return hours_between(first, read_hour(self.last) if self.last else first)


class Dates(dg.Config):
    """A range of UTC dates."""

    first: str = Field(description="First UTC date, as 2026-05-21.")
    last: str | None = Field(default=None, description="Last UTC date, included; without it the first one alone.")
    only_stale: bool = Field(default=False, description="Leave the files that show what the tables have.")

    def keys(self) -> list[date]:
        """Return the dates. Raises PartitionKeyError."""
        first = read_day(self.first)
        return dates_between(first, read_day(self.last) if self.last else first)


class Rebuild(dg.Config):
    """The loss that a rebuild may end with."""

    accept_loss: bool = Field(
        default=False, description="End with less than there is now; needs a reason. Without it such a rebuild refuses."
    )
    reason: str = Field(default="", description="Why the loss is accepted: recorded in landing_losses.")
    by: str = Field(default="", description="The name of who accepts it: recorded too.")


class Entries(dg.Config):
    """Entries of the quarantine."""

    ids: list[str] = Field(default=[], description="Ids, as `wpp-lake quarantine ls` names them; without any, all.")
    reason: str | None = Field(default=None, description="Only those with this reason code.")


class Verification(dg.Config):
    """The landed lines that are verified."""

    hour: str | None = Field(default=None, description="One UTC hour, as 2026-05-21-06:00; without it all of them.")


class Age(dg.Config):
    """How old a run has to be."""

    days: int | None = Field(default=None, ge=1, description="Since its end; without it RUN_HISTORY_DAYS.")


def of_hours(first: datetime, last: datetime) -> dict[str, Any]:
    """Return the run's configuration for a load of hours."""
    return {"ops": {load_hours.name: {"config": {"first": hour_key(first), "last": hour_key(last)}}}}


def of_dates(first: date, last: date, *, only_stale: bool) -> dict[str, Any]:
    """Return the run's configuration for snapshots of dates."""
    config = {"first": first.isoformat(), "last": last.isoformat(), "only_stale": only_stale}
    return {"ops": {write_dates.name: {"config": config}}}


def _tell(context: dg.OpExecutionContext, events: Iterable[reports.Event]) -> None:
    """Tell Dagster, as part of the run what can be; an op can't evaluate checks."""
    for event in events:
        if isinstance(event, dg.AssetCheckEvaluation):
            context.instance.report_runless_asset_event(event)
        else:
            context.log_event(event)


# No resources: a sensor's job that needs one is copied with a parameter that Dagster warns of.
@dg.op(out=dg.Out(dg.Nothing))
def load_hours(context: dg.OpExecutionContext, config: Hours) -> Iterator[dg.Output[None]]:
    """Load the landing files of these hours that the ledger doesn't know."""
    lake = Lake()
    with explained(), beating(context.run_id), lake.database() as conn:
        hours = config.keys()
        counts = load(conn, lake.landing_zone(), hours, context.run_id)
        done = reports.loaded(conn, hours[0], hours[-1], context.run_id)
        _tell(context, reports.of_load(conn, hours, done))
    context.log.info("%s", counts)
    yield dg.Output(None, metadata=asdict(counts))


# What the launchpad begins with; loading an hour again, or writing a date again, changes nothing.
FIRST_HOUR, FIRST_DAY = {"first": hour_key(BEGIN)}, {"first": BEGIN.date().isoformat()}


@dg.job(
    config={"ops": {load_hours.name: {"config": FIRST_HOUR}}},
    description="Landing files of a range of hours to tables, whether the hours are partitions or not.",
)
def load_range() -> None:
    """Load a range of hours."""
    load_hours()


@dg.op(out=dg.Out(dg.Nothing))
def write_dates(context: dg.OpExecutionContext, config: Dates) -> Iterator[dg.Output[None]]:
    """Write the Parquet files of these dates."""
    lake, files = Lake(), dict[str, int]()
    with explained(), beating(context.run_id), lake.database() as conn:
        _tell(context, [reports.evaluation(check_tables(conn))])
        days = config.keys()
        for number, day in enumerate(days, 1):
            for table, metadata in write_date(conn, lake, day, (*SCHEMAS, FIELDS), only_stale=config.only_stale):
                if "dagster/uri" in metadata:
                    files[metadata["dagster/uri"]] = reports.rows_of(metadata)
                if table in STATE:
                    _tell(context, [dg.AssetMaterialization(["snapshots", table], metadata=metadata)])
                elif DAYS.has_partition_key(key := day.isoformat()):
                    _tell(context, [dg.AssetMaterialization(["snapshots", table], partition=key, metadata=metadata)])
            context.log.info("%s: %d of %d dates", day, number, len(days))
    yield dg.Output(None, metadata={"files": files})


@dg.job(
    config={"ops": {write_dates.name: {"config": FIRST_DAY}}},
    description="Parquet files of a range of dates, whether the dates are partitions or not.",
)
def snapshot_range() -> None:
    """Write a range of dates."""
    write_dates()


@dg.op(out=dg.Out(dg.Nothing))
def rebuild_tables(context: dg.OpExecutionContext, config: Rebuild) -> None:
    """Load the whole landing zone into emptied tables; until it is done everybody reads them as they were."""
    lake, loss = Lake(), AcceptedLoss(config.by.strip(), config.reason.strip())
    if config.accept_loss and not all(loss):
        raise dg.Failure("Say why the loss is accepted (`reason`), and who accepts it (`by`): both are recorded")
    with explained(), beating(context.run_id), lake.database() as conn:
        counts = rebuild(conn, lake.landing_zone(), REBUILD, loss if config.accept_loss else None)
        _tell(context, reports.of_checks(conn))
    context.log.info("%s", counts)


@dg.job(
    name="rebuild", description="The tables made anew from the landing zone. It refuses where it would lose something."
)
def rebuild_job() -> None:
    """Rebuild the tables."""
    rebuild_tables()


def _ids(texts: Iterable[str]) -> set[UUID]:
    try:
        return set(map(UUID, texts))
    except ValueError:
        raise dg.Failure("Name entries by their ids, as `wpp-lake quarantine ls` shows them: one is no UUID") from None


@dg.op(out=dg.Out(dg.Nothing))
def retry_entries(context: dg.OpExecutionContext, config: Entries) -> None:
    """Load open entries of the quarantine again; what still can't be loaded stays open."""
    lake = Lake()
    with explained(), beating(context.run_id), lake.database() as conn:
        ids = _ids(config.ids)
        opened = [each for each in quarantine.entries(conn, reason=config.reason) if not ids or each["id"] in ids]
        became = quarantine.retry(conn, lake.landing_zone(), opened)
        _tell(context, reports.of_checks(conn))
    loaded, still, anew = became["loaded"], became["open"], became["pending"]
    context.log.info("%d loaded, %d still open, %d files to load anew", loaded, still, anew)
    if missing := len(ids) - len(opened) if ids else 0:
        raise dg.Failure(f"Look with `wpp-lake quarantine ls --state all`: {missing} of the ids aren't open entries")


@dg.job(description="Lines in quarantine loaded again, after what stopped them was mended.")
def quarantine_retry() -> None:
    """Retry the quarantine."""
    retry_entries()


@dg.op(out=dg.Out(dg.Nothing))
def verify_lines(context: dg.OpExecutionContext, config: Verification) -> None:
    """Verify landed lines again, signatures and all; name those that fail."""
    lake = Lake()
    with explained(), beating(context.run_id), lake.database() as conn:
        hour = parse_hour(config.hour) if config.hour else None
        verifier = Verifier(lake.settings().webhook_secrets, lake.settings().erasure_key_bytes)
        lines, failures = verify(conn, lake.landing_zone(), verifier, hour)
    for failure in failures[:MOST_LOGGED]:
        context.log.error("%s", failure)
    context.log.info("%d lines verified, %d failures", lines, len(failures))
    if failures:
        told = "Add the secret that is missing, or restore the files (docs/runbook.md, files_as_loaded)"
        raise dg.Failure(f"{told}: {len(failures)} of {lines} lines and files fail", metadata={"first": failures[0]})


@dg.job(name="verify", description="Landed lines verified again: signatures, digests, hours of receipt.")
def verify_job() -> None:
    """Verify landed lines."""
    verify_lines()


@dg.op(out=dg.Out(dg.Nothing))
def old_runs(context: dg.OpExecutionContext, config: Age) -> None:
    """Delete old runs; how far it is stands in the run's log."""
    with explained(), beating(context.run_id):
        days = config.days or Lake().settings().run_history_days
        context.log.info("older than %d days: %s", days, prune(context.instance, timedelta(days=days)))


@dg.job(name="prune", description="Old runs out of Dagster's history, which keeps them all by itself.")
def prune_job() -> None:
    """Delete old runs."""
    old_runs()


BUTTONS = [load_range, snapshot_range, rebuild_job, quarantine_retry, verify_job, prune_job]
