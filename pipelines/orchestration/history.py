"""Deletes old runs from Dagster's storage, with all that they left there: Dagster itself keeps every run for ever.

Belongs here: which runs go, and in what order their parts do. Not: when that happens (schedules).
"""

import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES

from pipelines.db.queries import query
from pipelines.errors import WppLakeError

AT_ONCE = 1000  # runs, or events of a run
STATEMENT_MILLISECONDS = 600_000
FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
MATERIALIZATION = dg.DagsterEventType.ASSET_MATERIALIZATION
OBSERVATION = dg.DagsterEventType.ASSET_OBSERVATION
EVALUATION = dg.DagsterEventType.ASSET_CHECK_EVALUATION
Subject = tuple[dg.DagsterEventType, dg.AssetKey | dg.AssetCheckKey, str | None]  # the last is the partition

_log = logging.getLogger(__name__)


class HistoryError(WppLakeError):
    """Dagster's storage isn't one that can be pruned."""


@dataclass
class Pruned:
    """Counts of a prune: runs deleted, the bytes of their logs, old runs kept, events deleted that had no run."""

    runs: int = 0
    log_bytes: int = 0
    kept: int = 0
    runless: int = 0

    def __str__(self) -> str:
        nothing = "" if self.runs or self.log_bytes or self.runless else "nothing to delete: "
        return (
            f"{nothing}{self.runs} runs with {self.log_bytes} bytes of logs deleted, {self.kept} kept as the newest "
            f"of a partition or check, {self.runless} events without a run deleted"
        )


def prune(instance: dg.DagsterInstance, age: timedelta) -> Pruned:
    """Delete the runs that ended longer ago than `age`, and return what was done. Raises HistoryError.

    A run stays while it has the newest materialization or observation of an asset partition, or the newest evaluation
    of a check. A prune may be killed at any moment; the next one goes on. Loads and other prunes may run beside it.
    """
    # By itself the storage opens a connection for each question, which takes eight times as long.
    instance.optimize_for_webserver(statement_timeout=STATEMENT_MILLISECONDS, pool_recycle=-1, max_overflow=2)
    before, newest, done = datetime.now(UTC) - age, Newest(instance), Pruned()
    ended = dg.RunsFilter(statuses=FINISHED, updated_before=before)
    last_kept: str | None = None
    while runs := instance.get_run_ids(ended, last_kept, AT_ONCE):
        kept = [run_id for run_id in runs if newest.is_in(run_id)]
        done.kept += len(kept)
        _delete_runs(instance, sorted(set(runs).difference(kept)), done)
        last_kept = kept[-1] if kept else last_kept
        if len(runs) == AT_ONCE:
            _log.info("so far: %s", done)
    for runless in ("history/runless_evaluations", "history/runless_events"):
        done.runless += _delete(instance, runless, before=before)
    return done


class Newest:
    """Knows which run has the newest of a kind of event, per asset partition or check.

    It asks once for each. Where its knowledge is out of date, a run stays until the next prune.
    """

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance
        self._run = lru_cache(maxsize=10_000)(self._ask)

    def is_in(self, run_id: str) -> bool:
        """Tell whether the run has the newest of anything."""
        return any(self._run(subject) == run_id for subject in self._subjects(run_id))

    def _subjects(self, run_id: str) -> Iterator[Subject]:
        cursor, has_more = None, True
        while has_more:
            page = self._instance.get_records_for_run(
                run_id, cursor, {MATERIALIZATION, OBSERVATION, EVALUATION}, AT_ONCE
            )
            for event in (record.event_log_entry.get_dagster_event() for record in page.records):
                if event.event_type is EVALUATION:
                    evaluation = event.asset_check_evaluation_data
                    yield EVALUATION, evaluation.asset_check_key, evaluation.partition
                elif event.asset_key:
                    yield event.event_type, event.asset_key, event.partition
            cursor, has_more = page.cursor, page.has_more

    def _ask(self, subject: Subject) -> str | None:
        """Return the id of the run that has the newest event, empty where it has no run; None without an event."""
        kind, key, partition = subject
        if isinstance(key, dg.AssetCheckKey):
            found = self._instance.event_log_storage.get_asset_check_execution_history(
                key,
                limit=1,
                status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
                partition_filter=PartitionKeyFilter(key=partition),
            )
            return found[0].run_id if found else None
        fetch = self._instance.fetch_observations if kind is OBSERVATION else self._instance.fetch_materializations
        records = fetch(dg.AssetRecordsFilter(key, [partition] if partition else None), limit=1).records
        return records[0].run_id if records else None


def _delete_runs(instance: dg.DagsterInstance, runs: Sequence[str], done: Pruned) -> None:
    """Delete runs, each of them last: until then the next prune finds it, and deletes what is left."""
    _delete(instance, "history/evaluations", runs=list(runs))
    for run_id in runs:
        done.log_bytes += _delete_folder(instance, run_id)
        instance.event_log_storage.delete_events(run_id)
        instance.run_storage.delete_run(run_id)  # instance.delete_run would begin with it
        done.runs += 1


def _delete_folder(instance: dg.DagsterInstance, run_id: str) -> int:
    """Delete what a run has on disk, and return the bytes of its files."""
    folder, size = Path(instance.storage_directory(), run_id), 0
    with suppress(FileNotFoundError):  # another prune deletes the same
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        instance.compute_log_manager.delete_logs(prefix=[run_id])
    shutil.rmtree(folder, ignore_errors=True)
    return size


def _delete(instance: dg.DagsterInstance, name: str, **values: object) -> int:
    """Delete in Dagster's storage what it has no method for; return the number of rows."""
    from dagster_postgres import PostgresEventLogStorage  # noqa: PLC0415  definitions load without it

    storage = instance.event_log_storage
    if not isinstance(storage, PostgresEventLogStorage):
        raise HistoryError(f"Dagster's storage is {type(storage).__name__}, not PostgreSQL")
    with storage.index_connection() as conn:
        return int(conn.exec_driver_sql(query(name).decode(), values).scalar_one())
