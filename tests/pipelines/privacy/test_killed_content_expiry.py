"""An expiry of content that is killed at any of its steps is gone on with; until then nothing alarms."""

from typing import Any

import pytest
from aged import BEFORE, NEW, OLD, age, compared
from dying import deaths
from erasing import landing_lines
from lake import Lake

from pipelines.loading.alarms import alarms
from pipelines.loading.load import load, rebuild
from pipelines.loading.pending import list_everything
from pipelines.privacy.apply import sweep
from pipelines.privacy.content_expiry import expire_content
from pipelines.privacy.proof import verify as prove
from pipelines.redaction.erasures import ErasureList

EXPIRIES = """
import sys
from datetime import date
sys.path.append("tests")
from dying import serve
from pipelines.privacy.content_expiry import expire_content

before = date.fromisoformat(sys.argv[1])
statements = ("erasure/announce", "alarms/moved", "erasure/forget_events", "erasure/give_back", "content/describe",
              "load/state", "erasure/quarantined", "content/done")
serve(statements, lambda settings, conn: expire_content(settings, conn, before, "T", "me"))
"""
# In the order in which they come.
STEPS = [
    ("after", "entry"),
    ("after", "erasure/announce"),
    ("before", "file"),
    ("after", "file"),
    ("after", "alarms/moved"),
    ("after", "erasure/forget_events"),
    ("before", "erasure/give_back"),
    ("after", "content/describe"),
    ("after", "load/state"),
    ("after", "erasure/quarantined"),
    ("before", "parquet"),
    ("after", "parquet"),
    ("before", "content/done"),
]


@pytest.fixture
def aged(keyed: Lake, sample: list[dict[str, Any]]) -> Lake:
    """Return a lake with an erasure key and two days."""
    age(keyed, sample)
    return keyed


def test_killed_at_each_step(aged: Lake) -> None:
    lines = {key: len(lines) for key, lines in landing_lines(aged).items()}
    for order in deaths(EXPIRIES, [str(BEFORE)], STEPS):
        list_everything(aged.connection, aged.zone)
        assert alarms(aged.connection) == [], order
        load(aged.connection, aged.zone, [OLD, NEW], "run")
        assert compared(aged).differences == [], order
    (begun,) = ErasureList(aged.zone).entries()
    done = expire_content(aged.settings, aged.connection, BEFORE, "T", "me")
    assert done.erasure == begun
    assert prove(aged.settings, aged.connection, begun.id)["matches"] == 0
    assert {key: len(lines) for key, lines in landing_lines(aged).items()} == lines
    content = aged.content()
    rebuild(aged.connection, aged.zone, "again")
    assert aged.content() == content


@pytest.mark.parametrize("step", ["erasure/announce", "file", "load/state"])
def test_a_sweep_goes_on_with_what_was_killed(aged: Lake, step: str) -> None:
    list(deaths(EXPIRIES, [str(BEFORE)], [("after", step)]))
    (begun,) = ErasureList(aged.zone).entries()
    sweep(aged.settings, aged.connection)
    assert prove(aged.settings, aged.connection, begun.id)["matches"] == 0
