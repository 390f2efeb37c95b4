"""The Dockerfile of `deploy/`: a linter reads it, and what it copies and installs is there. Nobody has built it."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest
from project import ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
TEXT = DOCKERFILE.read_text().replace("\\\n", "")
HADOLINT = Path(sys.executable).with_name("hadolint")


def lint(path: Path) -> tuple[int, str]:
    """Run hadolint; return its exit code and what it found."""
    done = subprocess.run([HADOLINT, "--no-color", str(path)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_linter_finds_nothing() -> None:
    """No rule of its is left out."""
    assert lint(DOCKERFILE) == (0, "")


def test_a_fault_would_be_found(tmp_path: Path) -> None:
    """The check of these tests can fail."""
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python\nRUN pip install dagster\n")
    code, found = lint(wrong)
    assert (code, "DL3006" in found, "DL3013" in found) == (1, True, True)


def copied() -> list[str]:
    """Return what is copied from the project."""
    lines = re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
    return [path for line in lines for path in line.split()]


@pytest.mark.parametrize("path", copied())
def test_what_is_copied_is_there_and_is_not_ignored(path: str) -> None:
    """A build would end at it otherwise."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert (ROOT / path).exists()
    assert f"!{path}" in ignored


@pytest.mark.parametrize("path", [".env", ".git/config", ".wpp-lake/secrets.json", "receiver/__pycache__/a.pyc"])
def test_what_is_secret_or_waste_is_ignored(path: str) -> None:
    """Even where somebody copies whole folders: the last pattern that fits decides, as Docker has it."""
    ignored = False
    for pattern in (ROOT / ".dockerignore").read_text().splitlines():
        bare = pattern.lstrip("!")
        fits = (
            any(fnmatch(part, bare.removeprefix("**/")) for part in path.split("/"))
            if "**" in bare
            else (path == bare or path.startswith(f"{bare}/") or bare == "*")
        )
        ignored = (not pattern.startswith("!")) if fits and not pattern.startswith("#") else ignored
    assert ignored


def test_every_package_of_the_wheel_is_copied() -> None:
    """What setuptools would find is there."""
    packages = re.search(r"^include = \[(.*)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert packages
    assert {name.strip('"*') for name in packages[1].split(", ")} <= set(copied())


def test_packages_are_installed_by_their_hashes() -> None:
    """From the lock of this image, and nothing is built."""
    (command,) = (line for line in TEXT.splitlines() if "--require-hashes" in line)
    assert "--only-binary :all:" in command
    assert command.endswith("--requirement requirements.lock")
    assert "deploy/kubernetes/requirements.lock" in copied()


def test_it_runs_as_the_user_of_the_manifests() -> None:
    """By number: Kubernetes can't tell of a name that it isn't root."""
    assert re.findall(r"^USER (.*)$", TEXT, re.MULTILINE) == ["10001:10001"]


def test_a_runs_command_is_not_the_argument_of_another() -> None:
    """Dagster's launcher gives arguments and no command."""
    assert not re.search("^ENTRYPOINT", TEXT, re.MULTILINE)


def test_nothing_secret_is_set_in_it() -> None:
    """Neither by ENV nor by ARG."""
    named = re.findall(r"([A-Z_]+)=", " ".join(re.findall(r"^(?:ENV|ARG) (.*)$", TEXT, re.MULTILINE)))
    assert [name for name in named if re.search(r"SECRET|KEY|URL|PASSWORD", name)] == []
