"""The alerts of `deploy/prometheus`: each fires when it should and not before, on metrics that there are.

What promtool says of them needs Debian's package, and is of the tests with a server's rights; the rest is not.
"""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import debian
import pytest
from project import ROOT
from prometheus_rules import FOLDER, RULES, Alert, alerts

from pipelines.doctor.disk import GIGABYTE, LEAST_DAYS
from pipelines.orchestration.checks import REVIEW_WARNS_DAYS
from pipelines.orchestration.metrics import METRICS
from pipelines.settings import LakeSettings
from receiver.settings import ReceiverSettings
from receiver.telemetry import Metrics

ALERTS = {alert.name: alert for alert in alerts()}
RECEIVER = {"job": "wpp-lake-receiver", "instance": "127.0.0.1:8081"}
PIPELINES = {"job": "wpp-lake-pipelines", "instance": "127.0.0.1:3000"}
# Nothing else of a series may be told: these are addresses of processes, codes, names of parts.
TOLD = {"instance", "status", "reason", "holds"}
MINUTES = 1600


def named(metric: str, of: dict[str, str] = RECEIVER, **labels: str) -> str:
    """Return the name of a series."""
    return metric + "{" + ",".join(f'{name}="{value}"' for name, value in {**of, **labels}.items()) + "}"


def always(value: float) -> str:
    """Return a gauge that stays, one sample a minute."""
    return f"{value}+0x{MINUTES}"


def per_minute(number: float) -> str:
    """Return a counter that grows by so much each minute."""
    return f"0+{number}x{MINUTES}"


def of_deliveries(status: int) -> str:
    """Return the name of the counter of deliveries that were answered so."""
    outcome = "accepted" if status == 202 else "refused" if status < 500 else "unavailable"
    return named(
        "receiver_requests_total",
        route="/api/webhooks/whatsapp", contract="current", outcome=outcome, status=str(status),
    )  # fmt: skip


def durations(within_a_second: float) -> dict[str, str]:
    """Return a histogram of 100 puts a minute: so many take no longer than a second, none longer than 2.5."""
    buckets = {"0.5": within_a_second, "1.0": within_a_second, "2.5": 100, "+Inf": 100}
    return {named("landing_put_duration_seconds_bucket", le=le): per_minute(count) for le, count in buckets.items()}


UP, PIPELINES_UP = named("up"), named("up", PIPELINES)
ASKED = named("receiver_requests_total", route="/readyz", contract="", outcome="unavailable", status="503")
WRONG = named("receiver_unauthorised_total", reason="X-Signature does not verify")
NO_SIGNATURE = named("receiver_unauthorised_total", reason="X-Signature must be given once")
STORED, FAILED = named("landing_puts_total", result="stored"), named("landing_puts_total", result="failed")
QUEUE = named("receiver_queue_bytes")
ANSWERS, OLDEST = named("wpp_lake_up", PIPELINES), named("wpp_lake_oldest_pending_seconds", PIPELINES)
LAST = named("wpp_lake_last_received_timestamp_seconds", PIPELINES)
MISSING, CHANGED = named("wpp_lake_missing_files", PIPELINES), named("wpp_lake_changed_files", PIPELINES)
ASIDE = named("wpp_lake_quarantined_lines", PIPELINES, reason="not_json")
STALE = named("wpp_lake_snapshot_stale_seconds", PIPELINES)
REVIEW = named("wpp_lake_privacy_review_timestamp_seconds", PIPELINES)
FREE = named("wpp_lake_disk_free_bytes", PIPELINES, holds="postgres,s3")
# A lake in which all is well, with 100 deliveries a minute.
WELL = {
    UP: always(1), PIPELINES_UP: always(1), of_deliveries(202): per_minute(100), STORED: per_minute(100),
    **durations(100), QUEUE: always(1e6), ANSWERS: always(1), OLDEST: always(10), LAST: per_minute(60),
    MISSING: always(0), CHANGED: always(0), ASIDE: always(0), STALE: always(600), REVIEW: always(1e8),
    FREE: always(5e10),
}  # fmt: skip


class Case(NamedTuple):
    """What of the series is other than in WELL (None: it isn't there), and what is told then: None for nothing."""

    alert: str
    told: str | None
    series: Mapping[str, str | None]
    labels: dict[str, str] = RECEIVER
    at: str = "2h"


CASES = [
    Case("ReceiverDown", "The receiver at 127.0.0.1:8081 doesn't answer", {UP: always(0)}),
    Case("ReceiverDown", "The receiver doesn't answer", {UP: None}, {"job": "wpp-lake-receiver"}),
    Case("ReceiverDown", None, {UP: "1+0x119 0 1"}),  # a restart
    Case("ReceiverNotReady", "The receiver at 127.0.0.1:8081 isn't ready", {ASKED: per_minute(1)}),
    Case("ReceiverNotReady", None, {ASKED: f"0+1x100 100+0x{MINUTES}"}),  # it was, 20 minutes ago
    Case("DeliveriesTurnedAway", "The receiver at 127.0.0.1:8081 turns 9.091% of the deliveries away",
         {of_deliveries(503): per_minute(10)}),
    Case("DeliveriesTurnedAway", "The receiver at 127.0.0.1:8081 turns 100% of the deliveries away",
         {of_deliveries(202): always(500), of_deliveries(500): per_minute(1)}),
    Case("DeliveriesTurnedAway", None, {of_deliveries(503): per_minute(4)}),
    Case("SignaturesRefused", "At 127.0.0.1:8081 16.67% of the deliveries have a wrong signature",
         {of_deliveries(401): per_minute(20), WRONG: per_minute(20)}),
    Case("SignaturesRefused", None, {of_deliveries(401): per_minute(90), NO_SIGNATURE: per_minute(90)}),  # a scanner
    Case("SignaturesRefused", None, {of_deliveries(401): per_minute(9), WRONG: per_minute(9)}),
    Case("DeliveriesRefused", "The receiver at 127.0.0.1:8081 answered deliveries with 422",
         {of_deliveries(422): "_x100 1+0x100"}, {**RECEIVER, "status": "422"}),  # one, the first of all
    Case("DeliveriesRefused", "The receiver at 127.0.0.1:8081 answered deliveries with 413",
         {of_deliveries(413): "3+0x100 4+0x100"}, {**RECEIVER, "status": "413"}),
    Case("DeliveriesRefused", None, {of_deliveries(422): always(3), of_deliveries(401): per_minute(1)}),
    Case("DeliveriesStopped", "No event was received for 13h 0m 0s",
         {LAST: always(3600), of_deliveries(202): always(9)}, PIPELINES, "14h"),
    Case("DeliveriesStopped", None, {LAST: always(3600), of_deliveries(202): always(9)}, at="12h"),
    Case("DeliveriesStopped", None, {LAST: always(3600)}, at="14h"),  # they come, and aren't loaded
    Case("DeliveriesStopped", None, {LAST: always(0), of_deliveries(202): None}, at="14h"),  # a new lake
    Case("LandingWritesFail", "16.67% of the landing writes of 127.0.0.1:8081 fail", {FAILED: per_minute(20)}),
    Case("LandingWritesFail", None, {FAILED: per_minute(9)}),
    Case("LandingWritesSlow", "A tenth of the landing writes of 127.0.0.1:8081 take longer than 1.75s",
         durations(80)),
    Case("LandingWritesSlow", None, durations(95)),
    Case("QueueFills", "57.22MiB of bodies are in the queue of 127.0.0.1:8081", {QUEUE: always(6e7)}),
    Case("QueueFills", None, {QUEUE: always(5e7)}),
    Case("PipelinesDown", "The pipelines at 127.0.0.1:3000 can't tell how the lake is", {PIPELINES_UP: always(0)},
         PIPELINES),
    Case("PipelinesDown", "The pipelines at 127.0.0.1:3000 can't tell how the lake is", {ANSWERS: always(0)},
         PIPELINES),
    Case("PipelinesDown", "The pipelines can't tell how the lake is", {PIPELINES_UP: None},
         {"job": "wpp-lake-pipelines"}),
    Case("PipelinesDown", None, {PIPELINES_UP: "1+0x116 0 0 0 0"}),  # an upgrade
    Case("LoadsLate", "A landing file has waited for its load for 6m 40s", {OLDEST: always(400)}, PIPELINES),
    Case("LoadsLate", None, {OLDEST: always(300)}),
    Case("LandingFilesNotAsLoaded", "3 landing files are missing or changed since they were loaded",
         {MISSING: always(1), CHANGED: always(2)}, PIPELINES),
    Case("LandingFilesNotAsLoaded", None, {MISSING: "1+0x100 0+0x100"}),  # restored
    Case("QuarantineOpen", "2 lines wait in quarantine: not_json", {ASIDE: always(2)},
         {**PIPELINES, "reason": "not_json"}),
    Case("QuarantineOpen", None, {ASIDE: "0+0x110 2+0x100"}),  # of ten minutes ago
    Case("SnapshotsStale", "The snapshots have lacked rows of the tables for 33m 20s", {STALE: always(2000)},
         PIPELINES),
    Case("SnapshotsStale", None, {STALE: always(1800)}),
    Case("PrivacyReviewDue", "What the lake keeps of people is to be reviewed within 30 days",
         {REVIEW: always(30 * 86400)}, PIPELINES),
    Case("PrivacyReviewDue", "What the lake keeps of people is to be reviewed within 30 days",
         {REVIEW: always(-70000)}, PIPELINES),  # on the day
    Case("PrivacyReviewDue", None, {REVIEW: always(31 * 86400)}),
    Case("PrivacyReviewOver", "The date for reviewing what the lake keeps of people is over", {REVIEW: always(-90000)},
         PIPELINES),
    Case("PrivacyReviewOver", None, {REVIEW: always(-82000)}),  # for 46 minutes
    Case("DiskLow", "999MB are free on the disk of postgres,s3", {FREE: always(999e6)},
         {**PIPELINES, "holds": "postgres,s3"}),
    Case("DiskLow", None, {FREE: always(1001e6)}),
    Case("DiskFills", "The disk of postgres,s3 is full within 7 days, at the rate of the last one",
         {FREE: f"50000000000-5000000x{MINUTES}"}, {**PIPELINES, "holds": "postgres,s3"}, "26h"),
    Case("DiskFills", None, {FREE: f"50000000000-3000000x{MINUTES}"}, at="26h"),
]  # fmt: skip
# When that of an alert's first case has begun, where it is later, or shorter, than a minute.
BEGUN = {"QueueFills": "0m", "LandingFilesNotAsLoaded": "0m", "DeliveriesStopped": "13h3m"}


def begun() -> list[Case]:
    """Return the first case of each alert that waits, in the first of the minutes for which it does."""
    first = {case.alert: case for case in reversed(CASES) if case.told}
    waiting = [case for name, case in first.items() if ALERTS[f"WppLake{name}"].waits != "0m"]
    return [case._replace(told=None, at=BEGUN.get(case.alert, "1m")) for case in waiting]


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return Prometheus' own tool."""
    return debian.program_alone("promtool", "prometheus", tmp_path_factory.mktemp("prometheus"))


def said(*command: str | Path) -> tuple[int, str]:
    """Return a command's exit code, and what it says where that isn't 0."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr if done.returncode else ""


def as_promtool_takes_it(case: Case) -> dict[str, object]:
    """Return a case as a test of promtool's: what is told, in full, and that nothing else is."""
    name = f"WppLake{case.alert}"
    alert, told, firing = ALERTS[name], [], []
    if case.told:
        annotations = alert.annotations | {"summary": case.told}
        told = [{"exp_labels": alert.labels | case.labels, "exp_annotations": annotations}]
        firing = [{"labels": f'{{alertname="{name}"}}', "value": 1}]
    series = {name: values for name, values in {**WELL, **case.series}.items() if values}
    every = 'count by (alertname) (ALERTS{alertstate="firing"})'
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"alertname": name, "eval_time": case.at, "exp_alerts": told}],
        "promql_expr_test": [{"expr": every, "eval_time": case.at, "exp_samples": firing}],
    }


@pytest.mark.server
def test_prometheus_takes_the_rules_and_the_example(promtool: str) -> None:
    assert said(promtool, "check", "rules", RULES) == (0, "")
    assert said(promtool, "check", "config", FOLDER / "prometheus.yml") == (0, "")


@pytest.mark.server
@pytest.mark.parametrize(
    "case", CASES + begun(), ids=lambda case: f"{case.alert} {'fires' if case.told else 'is quiet'}" if case else ""
)
def test_an_alert_is_told_when_it_should_and_no_other(promtool: str, case: Case, tmp_path: Path) -> None:
    test = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [as_promtool_takes_it(case)]}
    path = tmp_path / "test.yaml"
    path.write_text(json.dumps(test))
    assert said(promtool, "test", "rules", path) == (0, "")


@pytest.mark.parametrize("fires", [True, False], ids=["that fires", "that doesn't"])
def test_every_alert_has_a_case(*, fires: bool) -> None:
    assert {f"WppLake{case.alert}" for case in CASES if bool(case.told) is fires} == set(ALERTS)


def of_the_receiver() -> set[str]:
    """Return the names of the receiver's series."""
    kinds = re.findall(r"^# TYPE (\w+) (\w+)$", Metrics().text().decode(), re.MULTILINE)
    of_histogram = [f"{name}{part}" for name, kind in kinds if kind == "histogram" for part in ("_bucket", "_count")]
    return {name for name, kind in kinds if kind != "histogram"} | set(of_histogram)


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_asks_for_metrics_that_there_are(alert: Alert) -> None:
    assert alert.metrics
    assert alert.metrics - of_the_receiver() - set(METRICS) - {"up"} == set()


def test_the_alerts_ask_for_values_that_there_are() -> None:
    """Of the scrape's jobs, and words of the receiver."""
    matchers = {each for alert in ALERTS.values() for each in alert.matchers}
    example = (FOLDER / "prometheus.yml").read_text()
    assert {value for label, value in matchers if label == "job" and f"job_name: {value}\n" not in example} == set()
    code = "".join(path.read_text() for path in (ROOT / "receiver").glob("*.py"))
    words = {value for label, value in matchers if label in {"route", "reason", "result"}}
    assert sorted(word for word in words if f'"{word}"' not in code) == []
    assert {label for label, _ in matchers} == {"job", "route", "reason", "result", "contract", "status"}


@pytest.mark.parametrize("alert", ALERTS.values(), ids=ALERTS)
def test_an_alert_says_how_severe_it_is_and_nothing_of_a_person(alert: Alert) -> None:
    assert alert.labels.keys() == {"severity"}
    assert alert.labels["severity"] in {"critical", "warning"}
    assert alert.annotations.keys() == {"summary", "description", "runbook"}
    assert re.fullmatch(r"\d+[mh]", str(alert.waits))
    told = " ".join(alert.annotations.values())
    assert set(re.findall(r"\$labels\.(\w+)", told)) <= TOLD
    assert set(re.findall(r"\$(\w+)", told)) <= {"labels", "value"}


def test_the_rules_have_the_bounds_of_the_settings_and_of_the_doctor() -> None:
    """Rules can't read them."""

    def asks(name: str) -> str:
        return " ".join(ALERTS[f"WppLake{name}"].expr.split())

    assert f"> 0.8 * {ReceiverSettings.model_fields['receiver_queue_bytes'].default}" in asks("QueueFills")
    assert f"> {LakeSettings.model_fields['silence_hours'].default} * 3600" in asks("DeliveriesStopped")
    assert f"<= {REVIEW_WARNS_DAYS} * 86400" in asks("PrivacyReviewDue")
    assert f"< {GIGABYTE / 1e9:.0f}e9" in asks("DiskLow")
    assert f"[1d], {LEAST_DAYS} * 86400)" in asks("DiskFills")
