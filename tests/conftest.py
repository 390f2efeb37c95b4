"""What every test begins with: the modules that hold the fixtures, and an environment that leads nowhere else."""

import os
import signal

import pytest

from devstack import postgres, seaweed

# Read when definitions load, which is before any fixture: the dates that tests have are partitions.
os.environ["PARTITIONS_SINCE"] = "2026-01-01"

pytest_plugins = ("command", "lake", "erasing", "aged", "roles", "servers")


def pytest_configure() -> None:
    """Take SIGINT even in a run that was started in the background, which has it ignored.

    Dagster would then ignore SIGTERM in this process too, and so would every child that a later test ends.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> list[str]:
    """Say which servers the tests run against."""
    return [f"servers: {postgres.server_version()}; seaweedfs {seaweed.server_version()}"]


@pytest.fixture(autouse=True, scope="session")
def own_environment() -> None:
    """Take out of the environment what would lead a client to somebody's real services, or to a proxy."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "DAGSTER_", "PG")) or name in {"DATABASE_URL", "WHATSAPP_WEBHOOK_SECRET"}:
            del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"
