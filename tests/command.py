"""The `wpp-lake` command as a process, and a Dagster of a test's own for what it runs.

Belongs here: running verbs that end, and where Dagster keeps what they did. Not: `up` and `demo` (stack_process).
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from dagster import DagsterInstance


def wpp_lake(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command in this environment."""
    command = [sys.executable, "-m", "pipelines.cli", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


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
def dagster_home(empty_storage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give Dagster a storage of the test's own."""
    shutil.copytree(empty_storage, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def instance(dagster_home: Path) -> "Iterator[DagsterInstance]":
    """Open that storage."""
    from dagster import DagsterInstance  # noqa: PLC0415  the same

    with DagsterInstance.from_config(str(dagster_home)) as instance:
        yield instance
