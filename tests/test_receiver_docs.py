"""The docs name every setting, metric and path that exists, and no other."""

import re

from receiver_process import ROOT

from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics

DOC = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """Return one section of docs/http.md."""
    return DOC.split(f"\n## {title}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    """Return the cells of each row of the tables in a text."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]


def test_settings() -> None:
    """The table has each setting, and the variables that the store's client reads."""
    named = re.findall(r"`([A-Z0-9_]+)`", "".join(row[0] for row in rows(section("Settings"))))
    of_the_client = ["AWS_ENDPOINT_URL_S3", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"]
    assert sorted(named) == sorted([*of_the_client, *(name.upper() for name in ReceiverSettings.model_fields)])


def test_defaults() -> None:
    """The table has each setting's default."""
    documented = {row[0].strip("`"): row[1].strip("`") for row in rows(section("Settings"))}
    fields = ReceiverSettings.model_fields.items()
    plain = {
        name.upper(): field.default for name, field in fields if isinstance(field.default, (bool, int, float, str))
    }
    assert {name: documented[name] for name in plain} == {name: str(value).lower() for name, value in plain.items()}


def test_metrics() -> None:
    """The table has each metric."""
    exposed = re.findall(r"^# TYPE (\w+) (?:counter|histogram|gauge)$", Metrics().text().decode(), re.MULTILINE)
    named = [row[0].strip("`") for row in rows(section("Metrics"))[1:]]
    assert sorted(named) == sorted(name for name in exposed if not name.endswith("_created"))
