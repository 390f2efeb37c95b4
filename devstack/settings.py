"""The embedded stack's own settings, read from the environment of `wpp-lake up` and `demo`.

Belongs here: names, types, defaults and meanings. Not: what the receiver and the pipelines read (receiver/settings.py,
pipelines/settings.py).
"""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from devstack.logs import LogLimit


class StackSettings(BaseSettings):
    """Limits of logs, and PostgreSQL's reserve. Each field is the environment variable of its upper-case name."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    log_megabytes: float = Field(
        default=10, gt=0, description="length of a process's log, in millions of bytes, at which it is moved aside"
    )
    log_files: int = Field(default=3, ge=1, description="logs moved aside that are kept per process")
    postgres_reserve_megabytes: float = Field(
        default=256, ge=0, description="PostgreSQL's reserve on its disk, in millions of bytes; 0: none"
    )

    @property
    def log_limit(self) -> LogLimit:
        """The limit of each child's log."""
        return LogLimit(int(self.log_megabytes * 1_000_000), self.log_files)
