"""The wheel, installed with what a deployment's lock names and nothing else: no embedded stack, no source tree.

Belongs here: what is in the wheel, and that it runs. Not: what the verbs do (pipelines/cli).
"""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from factories import SECRET, event, event_id
from lake import environment
from packaging.requirements import Requirement
from project import ROOT
from receiver_process import check_ready, settings_env, spawned, wait_for_port
from servers import S3

from devstack.postgres import Postgres
from devstack.waiting import wait_until

PACKAGES = ("receiver", "pipelines", "sql", "devstack", "notebooks")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build it, in a copy of the sources: what an earlier build left would get in."""
    copy = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in PACKAGES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    pip("wheel", "--no-build-isolation", f"--wheel-dir={copy}", copy)
    [built] = copy.glob("*.whl")
    return built


def pip(*words: object) -> None:
    """Run this environment's pip, which may fetch nothing."""
    command = [sys.executable, "-m", "pip", "--quiet", "--no-cache-dir", *map(str, words), "--no-index", "--no-deps"]
    subprocess.run(command, check=True)


def deployed() -> Iterator[Distribution]:
    """Yield what a deployment installs beside the wheel, as it is here."""
    lines = (ROOT / "deploy" / "requirements.lock").read_text().splitlines()
    for requirement in [Requirement(line.removesuffix(" \\")) for line in lines if "==" in line]:
        if requirement.marker is None or requirement.marker.evaluate():
            yield distribution(requirement.name)


class Installed:
    """An environment that has the wheel; its processes get no settings but those given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        self.environment = {"PATH": os.defpath, "HOME": str(folder), "DAGSTER_HOME": str(folder), "DO_NOT_TRACK": "1"}

    def wpp_lake(self, *words: str, **environment: str) -> tuple[int, str, str]:
        """Run the command; return how it ended and what it said."""
        command = [str(self.folder / "bin" / "wpp-lake"), *words]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment | environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the wheel where there is nothing else but what a deployment has, by links to what is here."""
    found = Installed(tmp_path_factory.mktemp("installed"))
    venv.create(found.folder, symlinks=True)
    [packages] = found.folder.glob("lib/python*/site-packages")
    for each in deployed():
        for name in {file.parts[0] for file in each.files or ()} - {"..", "__pycache__"}:
            if not (packages / name).exists():
                (packages / name).symlink_to(str(each.locate_file(name)))
    pip("--python", found.python, "install", wheel)
    (found.folder / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    return found


def test_the_wheel_has_every_file_of_the_packages_and_no_other(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*") if path.is_file()]
    files = [path for path in files if path.suffix != ".pyc" and path.parent.name != ".ipynb_checkpoints"]
    assert packed == {str(path.relative_to(ROOT)) for path in files}


def test_the_installed_wheel_is_what_runs(installed: Installed) -> None:
    """Not the source tree: the other tests of the wheel would show nothing."""
    command = [str(installed.python), "-c", "import pipelines; print(pipelines.__file__)"]
    printed = subprocess.check_output(command, cwd=installed.folder, env=installed.environment, text=True)
    assert Path(printed).is_relative_to(installed.folder)


@pytest.mark.parametrize("verb", ["up", "demo"])
def test_without_the_embedded_stack_its_verbs_say_how_to_get_it(installed: Installed, verb: str) -> None:
    said = "wpp-lake: the embedded stack isn't installed: pip install 'wpp-lake[devstack]'\n"
    assert installed.wpp_lake(verb) == (1, "", said)


def test_without_what_runs_notebooks_their_verb_says_how_to_get_it(installed: Installed) -> None:
    said = "wpp-lake: what runs notebooks isn't installed\nhint: pip install 'wpp-lake[notebooks]'\n"
    assert installed.wpp_lake("notebooks", "--out", "pages", SNAPSHOT_BUCKET="any") == (1, "", said)


def test_an_event_goes_its_whole_way_with_the_wheel_alone(
    installed: Installed, postgres_server: Postgres, s3: S3, landing_bucket: str, snapshot_bucket: str
) -> None:
    """The schema made, the event received, loaded, verified, and written into a snapshot."""
    postgres_server.create_databases(["wheel"])
    lake = environment(postgres_server.url("wheel"), s3, landing_bucket, snapshot_bucket)
    lake["WHATSAPP_WEBHOOK_SECRET"] = SECRET
    assert installed.wpp_lake("migrate", **lake) == (0, "the schema is current\n", "")
    with spawned(settings_env(s3, landing_bucket), installed.python, installed.folder) as receiver:
        wait_for_port(receiver)
        wait_until(lambda: check_ready(receiver), "receiver's landing bucket")
        assert receiver.deliver(event_id(), event()).status == 202
    assert installed.wpp_lake("load", **lake)[1] == "1 files, 1 lines: 1 loaded, 0 duplicates, 0 quarantined\n"
    assert installed.wpp_lake("verify", **lake) == (0, "1 lines verified, 0 failures\n", "")
    assert "whatsapp_events.parquet: 1 rows\n" in installed.wpp_lake("snapshot", **lake)[1]
