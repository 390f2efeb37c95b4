"""The docs name every setting, metric and path that exists, and no other."""

import re

import pytest
from project import ROOT
from receiver_process import CURRENT, FIRST

from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics

DOC = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")

# The tests of each row, by how it begins.
TESTS = {
    "Paths": {
        f"`POST {CURRENT}`": "test_accepted",
        f"`POST {FIRST}`": "test_accepted",
        "`GET /healthz`": "test_healthy",
        "`GET /readyz`": "test_ready",
        "`GET /metrics`": "test_metrics",
        "any other path": "test_unknown_path",
        "one of these paths with another method": "test_other_method",
    },
    "Answers to a delivery": {
        "the headers are not complete": "test_slow_headers",
        "the request is not well-formed": "test_not_http",
        "the request is HTTP/1.0 and has `Transfer-Encoding`": "test_chunks_of_an_old_sender",
        "the body is longer": "test_too_long",
        "`Content-Type` is missing": "test_media",
        "`X-Signature` or `X-Event-Id` is missing": "test_no_credentials",
        "the last landing file failed": "test_sheds_while_silent",
        "the announced length, or the first byte": "test_sheds_before_the_body",
        "while the body comes": "test_makes_room",
        "the body is not complete": "test_slow_body",
        "the body ends before": "test_cut_body",
        "no secret makes the signature": "test_not_authentic",
        "the signed `X-Event-Id` is not a UUID": "test_bad_id",
        "the body is not one strict JSON": "test_not_strict_json",
        "`type` is not a string": "test_bad_envelope",
        "the same event was acknowledged": "test_duplicate",
        "the same event is being landed": "test_twin_in_flight",
        "the landing store has not confirmed": "test_not_confirmed",
        "the event is durable": "test_landed",
        "an error in the receiver itself": "test_unexpected_error",
    },
    "What a stranger can hold": {
        "a place for a connection that sends nothing": "test_serves_in_a_crowd",
        "headers that don't end": "test_headers",
        "a body that is announced and not sent": "test_honest_senders_are_acknowledged",
        "a body that is sent in part": "test_budget_is_kept",
        "a whole body, wrongly signed": "test_a_wrongly_signed_body_is_let_go",
    },
}


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
    of_the_client = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"]
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


@pytest.mark.parametrize("title", TESTS)
def test_every_row_has_its_test(title: str) -> None:
    """Each request and each case of the tables is tested by a function of that name."""
    documented = [row[0] for row in rows(section(title))[1:]]
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tests" / "receiver").glob("*.py")]
    written = re.findall(r"^(?:async )?def (test_\w+)\(", "\n".join(sources), re.MULTILINE)
    tested = [begins for begins, name in TESTS[title].items() if name in written]
    assert [case.startswith(begins) for case, begins in zip(documented, tested, strict=True)] == [True] * len(tested)
