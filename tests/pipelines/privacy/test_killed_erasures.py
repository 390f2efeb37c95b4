"""An erasure that is killed at any of its steps is gone on with; until then nothing alarms, and nothing comes back."""

import pytest
from dying import deaths
from erasing import LID, PHONE, erase, everything, landed
from lake import Lake

from pipelines.loading.alarms import alarms
from pipelines.loading.load import load, rebuild
from pipelines.loading.pending import list_everything
from pipelines.privacy.apply import sweep
from pipelines.redaction.erasures import ErasureList

ERASERS = """
import sys
sys.path.append("tests")
from dying import serve
from pipelines.privacy.apply import Request, apply
from pipelines.privacy.people import Who

request = Request(Who("person", tuple(sys.argv[1:])), "T-1", "me")
statements = ("erasure/announce", "alarms/moved", "erasure/forget_events", "erasure/give_back", "erasure/forget_jids",
              "load/state", "erasure/applied")
serve(statements, lambda settings, conn: apply(settings, conn, request))
"""
PERSON = (f"{PHONE}@s.whatsapp.net", f"{LID}@lid")
# In the order in which they come.
STEPS = [
    ("after", "entry"),
    ("after", "erasure/announce"),
    ("after", "manifest"),
    ("before", "file"),
    ("after", "file"),
    ("after", "alarms/moved"),
    ("after", "erasure/forget_events"),
    ("before", "erasure/give_back"),
    ("after", "erasure/forget_jids"),
    ("after", "load/state"),
    ("before", "parquet"),
    ("after", "parquet"),
    ("before", "erasure/applied"),
]


def test_killed_at_each_step(filled: Lake) -> None:
    for order in deaths(ERASERS, PERSON, STEPS):
        list_everything(filled.connection, filled.zone)
        assert alarms(filled.connection) == [], order
    (erasure,) = ErasureList(filled.zone).entries()
    done = erase(filled, PHONE)
    assert done.erasure == erasure
    assert PHONE not in everything(filled)
    assert LID not in everything(filled)
    content = filled.content()
    rebuild(filled.connection, filled.zone, "again")
    assert filled.content() == content


@pytest.mark.parametrize("step", ["erasure/announce", "file", "load/state"])
def test_a_sweep_goes_on_with_what_was_killed(filled: Lake, step: str) -> None:
    list(deaths(ERASERS, PERSON, [("after", step)]))
    sweep(filled.settings, filled.connection)
    assert PHONE not in everything(filled)
    assert LID not in everything(filled)


def test_a_load_beside_a_killed_erasure_brings_nobody_in(filled: Lake, sample: list[dict[str, object]]) -> None:
    list(deaths(ERASERS, PERSON, [("after", "entry")]))
    (erasure,) = ErasureList(filled.zone).entries()
    assert erasure.until
    at = erasure.until.replace(year=erasure.until.year - 1)
    filled.land(*(landed(each, at) for each in sample), at=at)
    filled.connection.execute("delete from whatsapp_event_revisions")
    filled.connection.execute("delete from whatsapp_events")
    load(filled.connection, filled.zone, [at], "run")
    assert PHONE not in repr(filled.rows("select payload, participant_jid, chat_jid from whatsapp_events"))
