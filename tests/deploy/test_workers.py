"""Settings of Dagster for runs on Celery workers: accepted by Dagster, and otherwise those of one machine.

That workers do runs by them is tests/pipelines/orchestration/test_scale.py's to show.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from dagster._core.instance.ref import InstanceRef
from dagster_celery.launcher import CeleryRunLauncher
from dagster_shared.yaml_utils import load_yaml_from_path
from project import ROOT

CELERY = ROOT / "deploy" / "dagster-celery.yaml"
URLS = {"CELERY_BROKER_URL": "redis://127.0.0.1:9/0", "CELERY_RESULT_BACKEND": "redis://127.0.0.1:9/1"}


def test_dagster_accepts_the_launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the broker of the environment; a worker holds no run that it hasn't started."""
    for name, value in URLS.items():
        monkeypatch.setenv(name, value)
    shutil.copy(CELERY, tmp_path / "dagster.yaml")
    launcher = InstanceRef.from_dir(str(tmp_path)).run_launcher
    assert isinstance(launcher, CeleryRunLauncher)
    told = launcher.celery.conf
    assert (told.broker_url, told.result_backend) == tuple(URLS.values())
    assert (told.task_default_queue, told.worker_disable_prefetch) == ("dagster", True)


def test_the_settings_differ_from_those_of_one_machine_where_they_say() -> None:
    one, many = (load_yaml_from_path(str(path)) for path in (ROOT / "dagster.yaml", CELERY))
    assert isinstance(one, dict)
    assert isinstance(many, dict)
    differing = {name for name in one.keys() | many.keys() if one.get(name) != many.get(name)}
    assert differing == {"run_launcher", "concurrency", "run_monitoring", "run_queue"}
    changed = {name: value for name, value in many["run_monitoring"].items() if value != one["run_monitoring"][name]}
    assert changed == {"start_timeout_seconds": 1800}


def test_a_worker_refuses_settings_that_send_no_runs_to_it(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    command = [str(Path(sys.executable).with_name("celery")), "-A", "pipelines.orchestration.celery_app", "worker"]
    environment = os.environ | {"DAGSTER_HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "The dagster.yaml in DAGSTER_HOME names no CeleryRunLauncher" in done.stderr
