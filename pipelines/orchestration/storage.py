"""Dagster's storage in Postgres, with connections that are kept instead of one per question.

Belongs here: how Dagster connects. Not: what it stores. dagster-postgres opens a connection for every question, which
costs PostgreSQL and the asking process more than the questions do; docs/adr/0034 has the figures.
"""

from collections.abc import Mapping
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage
from dagster_postgres.utils import create_pg_engine, pg_url_from_config

# Of each of the three stores. A thread that asks meanwhile gets a connection of its own, which is closed again.
KEPT, BEYOND = 1, 20


class PooledPostgresStorage(DagsterPostgresStorage):
    """dagster-postgres' storage; a connection that broke is replaced before it is used."""

    def __init__(self, postgres_url: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(postgres_url, *args, **kwargs)
        for store in (self._run_storage, self._event_log_storage, self._schedule_storage):
            store._engine = create_pg_engine(  # noqa: SLF001  there is no other way in
                postgres_url,
                isolation_level="AUTOCOMMIT",
                pool_size=KEPT,
                max_overflow=BEYOND,
                pool_pre_ping=True,
            )

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledPostgresStorage":
        """Make it from what dagster.yaml says."""
        return cls(
            pg_url_from_config(config_value),
            should_autocreate_tables=config_value.get("should_autocreate_tables", True),
            inst_data=inst_data,
        )
