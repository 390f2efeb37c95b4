"""The `wpp-lake` command as a process, and a Dagster of a test's own for what it runs.

Belongs here: running verbs that end, and where Dagster keeps what they did. Not: `up` and `demo` (stack_process).
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prepared import Prepared

if TYPE_CHECKING:
    from dagster import DagsterInstance


@cache
def prepared() -> Prepared:
    """Start the process that forks for each command, when the first is run."""
    return Prepared()


@pytest.fixture(scope="session", autouse=True)
def _prepared_ends() -> Iterator[None]:
    """End that process with the session."""
    yield
    if prepared.cache_info().currsize:
        prepared().close()


def wpp_lake(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in this environment, as a process of its own."""
    return prepared().run("pipelines.cli", list(map(str, words)), os.environ, cwd or Path.cwd())


@pytest.fixture(scope="session")
def empty_storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a storage of Dagster's, whose tables take it a second: every test has a copy."""
    from dagster import DagsterInstance  # noqa: PLC0415  a run of the receiver's tests alone needn't import it

    home = tmp_path_factory.mktemp("dagster")
    (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with DagsterInstance.from_config(str(home)) as instance:
        assert instance.get_runs_count() == 0
    return home


@pytest.fixture
def dagster_home(empty_storage: Path, memory_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give Dagster a storage of the test's own, in memory: each of its many writes is synced."""
    with tempfile.TemporaryDirectory(dir=memory_folder, ignore_cleanup_errors=True) as home:
        shutil.copytree(empty_storage, home, dirs_exist_ok=True)
        monkeypatch.setenv("DAGSTER_HOME", home)
        yield Path(home)


@pytest.fixture
def instance(dagster_home: Path) -> "Iterator[DagsterInstance]":
    """Open that storage."""
    from dagster import DagsterInstance  # noqa: PLC0415  the same

    with DagsterInstance.from_config(str(dagster_home)) as instance:
        yield instance
