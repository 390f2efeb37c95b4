"""The notebooks: that they run on much, little and nothing, show senders' words as text, and become pages.

Belongs here: notebooks/ and `wpp-lake notebooks`. Not: what they read with (test_notebooks).
"""

import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import orjson
import papermill
import pytest
from command import wpp_lake
from debian import program
from factories import event, group, line, message, participant
from lake import Lake
from project import ROOT

from devstack.community.weeks import Event, events
from notebooks import payload_readers
from pipelines.landing.hours import today
from pipelines.loading.load import load
from pipelines.pages import KERNELS, local_links
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.write import write_snapshots

pytestmark = pytest.mark.notebooks

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EACH = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
HOSTILE = "<img src=x onerror=alert(1)>"
ZONE = "America/Manaus"  # an hour behind the default
LAST, WEEKS = date(2026, 11, 22), 2
OUTAGE = datetime(2026, 11, 18, 15, tzinfo=UTC), datetime(2026, 11, 18, 18, tzinfo=UTC)  # nothing is received
CHART = ROOT / "docs" / "images" / "chart.png"


def land(lake: Lake, bodies: Iterable[bytes]) -> None:
    """Land bodies as received now, load them and write every snapshot."""
    now = datetime.now(UTC)
    if lines := [line(body, number, now) for number, body in enumerate(bodies)]:
        lake.land(*lines, at=now)
        lake.load(now)
    list(write_snapshots(lake.settings, lake.snapshots, today()))
    write_catalogue(lake.settings, lake.snapshots, today())


def land_weeks(lake: Lake) -> None:
    """Land weeks of the invented community, each event two seconds after it happened, but for an outage."""
    hours: dict[datetime, list[tuple[datetime, Event]]] = defaultdict(list)
    for each in events(WEEKS, LAST, people=80, groups=6, seed=11):
        at = (each.at + timedelta(seconds=2)).astimezone(UTC)
        at = OUTAGE[1] if OUTAGE[0] <= at < OUTAGE[1] else at
        hours[at.replace(minute=0, second=0, microsecond=0)].append((at, each))
    for hour, found in hours.items():
        bodies = [orjson.dumps({"type": it.type, "chat_jid": it.chat, "payload": it.payload}) for _, it in found]
        lake.land(
            *(line(body, it.id, at) for body, (at, it) in zip(bodies, found, strict=True)),
            at=hour,
        )
    while load(lake.connection, lake.zone, sorted(hours), "test-run").files:
        pass
    days = sorted({hour.date() for hour in hours})
    for day in days:
        list(write_snapshots(lake.settings, lake.snapshots, day))
    list(write_snapshots(lake.settings, lake.snapshots, today()))
    write_catalogue(lake.settings, lake.snapshots, days[-1])


def run(path: Path, folder: Path, **parameters: object) -> list[Any]:
    """Run a notebook in a folder of its own; return its outputs."""
    done = papermill.execute_notebook(path, None, parameters, cwd=folder, progress_bar=False, config=KERNELS)
    return [output for cell in done.cells if cell.cell_type == "code" for output in cell.outputs]


def htmls(outputs: list[Any]) -> list[str]:
    """Return what was shown as HTML."""
    return [text for output in outputs if (text := output.get("data", {}).get("text/html"))]


def as_one(folder: Path) -> Path:
    """Write all notebooks one after the other as a single one, whose kernel starts once."""
    every = [json.loads(path.read_text()) for path in NOTEBOOKS]
    cells = [cell for each in every for cell in each["cells"]]
    (folder / "all.ipynb").write_text(json.dumps(every[0] | {"cells": cells}))
    return folder / "all.ipynb"


@EACH
def test_a_notebook_is_committed_without_what_it_showed(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert "**Personal data.**" in "".join(cells[0]["source"])
    shown = [(cell["execution_count"], cell["outputs"]) for cell in cells if cell["cell_type"] == "code"]
    assert shown == [(None, [])] * len(shown)


@EACH
def test_a_notebook_has_its_parameters_first_and_no_function_before_a_result(path: Path) -> None:
    _, parameters, first, *_ = json.loads(path.read_text())["cells"]
    assert parameters["metadata"]["tags"] == ["parameters"]
    assert 'time_zone = "America/Sao_Paulo"' in "".join(parameters["source"])
    code = "".join(first["source"])
    assert "def " not in code
    assert "style." in code.rpartition("style.begin()")[2]


@EACH
def test_a_notebook_runs_on_a_fresh_lake_from_any_folder(
    path: Path, lake: Lake, sample: list[dict[str, Any]], tmp_path: Path
) -> None:
    """On the sample, less than three hours of one day; times are those of the zone that it is given."""
    land(lake, (each["body"].encode() for each in sample))
    outputs = run(path, tmp_path, time_zone=ZONE)
    [[messages, upserts]] = lake.rows(
        "select (select count(*) from whatsapp_messages),"
        " (select count(*) from whatsapp_events where type = 'messages.upsert')"
    )
    expected = {"00_health": "300", "02_raw_payloads": str(upserts)}.get(path.stem, str(messages))
    assert [output.text for output in outputs if output.output_type == "stream"] == []
    assert any("image/svg+xml" in output.get("data", {}) for output in outputs)
    assert any(re.search(rf">{expected}<", text) for text in htmls(outputs))
    assert any(f"({ZONE})" in text for text in htmls(outputs)) == (path.stem[:2] in {"01", "03"})


@pytest.mark.parametrize(
    "events",
    [[], [event()], [event([], kind="t$_{x$ 1"), event({"messageStubType": 27, "k$_{x": 1})]],
    ids=["none", "single", "odd"],
)
def test_the_notebooks_run_on_next_to_nothing_and_say_so(events: list[bytes], lake: Lake, tmp_path: Path) -> None:
    """No event, a message alone, or events without time and author, in which a plot could see mathematics."""
    land(lake, events)
    outputs = run(as_one(tmp_path), tmp_path)
    assert [output.text for output in outputs if output.output_type == "stream"] == []
    words = " ".join(htmls(outputs))
    assert "No message has a reaction." in words
    assert "nan" not in re.sub(r"<[^>]*>", " ", words).lower().split()


def test_the_notebooks_show_senders_words_as_text(lake: Lake, tmp_path: Path) -> None:
    """In their HTML a type, a key, a value and a group's name are neither elements nor mathematics."""
    payload = message(participant(), text=HOSTILE) | {HOSTILE: HOSTILE}
    named = event({"id": group(), "subject": HOSTILE, "participants": []}, kind="groups.metadata")
    land(lake, [event(payload, kind=HOSTILE), event(payload), named])
    outputs = run(as_one(tmp_path), tmp_path)
    shown = htmls(outputs)
    drawn = [text for output in outputs if (text := output.get("data", {}).get("image/svg+xml"))]
    assert [text for text in shown + drawn if "<img" in text] == []
    assert any(f">{escape(HOSTILE)}</td>" in text for text in shown)
    assert any("&lt;img src=x onerror" in text for text in drawn)
    assert [text for text in shown if "mathjax_ignore" not in text] == []


class Addresses(HTMLParser):
    """What a page would load, and where it leads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.loaded += re.findall(r"@import|url\((?!#)[^)]*\)", text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the addresses of an element."""
        for name, value in attrs:
            if name in {"src", "srcset", "href", "xlink:href", "data", "action"} and value and value[:1] != "#":
                (self.links if tag == "a" else self.loaded).append(value)
        if tag in {"script", "link", "iframe"}:
            self.loaded.append(tag)


def test_the_weeks_become_pages_that_say_what_is_seen_and_need_no_other_file(lake: Lake, tmp_path: Path) -> None:
    land_weeks(lake)
    done = wpp_lake("notebooks", "--out", "pages", "--time-zone", "America/Sao_Paulo", cwd=tmp_path)
    names = [f"{path.stem}.html" for path in NOTEBOOKS] + ["index.html"]
    assert (done.returncode, done.stderr, done.stdout.split()) == (0, "", [f"pages/{name}" for name in names])
    pages = {name: (tmp_path / "pages" / name).read_text() for name in names}
    for text in pages.values():
        found = Addresses(text)
        assert found.loaded == []
        assert set(found.links) <= set(names)
    assert re.search(
        r"the gravest, from Wed 18 Nov, 12:00 on, lacks some \d\d+ events in 3 hours", pages["00_health.html"]
    )
    assert "Half of the events are received within 2 s" in pages["00_health.html"]
    assert re.search(r"Evenings carry \d\d\N{NO-BREAK SPACE}% of all messages", pages["01_first_look.html"])
    assert re.search(r"[\d.]+\N{NO-BREAK SPACE}% of the bytes are read by nobody", pages["02_raw_payloads.html"])
    assert f"of {WEEKS} weeks" in pages["03_groups_over_time.html"]
    assert re.search(r"Half of the replies come within \d+ s, nine of ten within", pages["04_conversations.html"])
    assert "var(--soft)" in pages["04_conversations.html"]
    draw(pages["01_first_look.html"], tmp_path)


def draw(page: str, folder: Path) -> None:
    """Take a picture of a page's first chart, in Debian's Chromium without a network: what README shows."""
    head, chart = page.partition("<nav>")[0], re.search(r'<div class="headline.*?</svg>', page, re.DOTALL)
    assert chart
    style = "<style>main{padding:.4rem 1.4rem 0}.headline{margin:0!important}</style>"
    (folder / "chart.html").write_text(f'{head}{style}<main><div><div class="html">{chart[0]}</div></div></main>')
    command = [
        program("chromium", "chromium"), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={folder / 'chromium'}", "--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=900,330",
        "--force-device-scale-factor=1.5", f"--screenshot={folder / 'chart.png'}", f"file://{folder / 'chart.html'}",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert (folder / "chart.png").stat().st_size > 10_000  # an empty page has 3 kB
    if os.environ.get("WRITE_SCREENSHOTS"):
        shutil.copyfile(folder / "chart.png", CHART)


def test_pages_of_a_lake_without_snapshots_are_refused_with_a_hint(lake: Lake, tmp_path: Path) -> None:
    done = wpp_lake("notebooks", "--out", tmp_path / "pages")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{lake.settings.snapshot_bucket} has no snapshots of whatsapp_events" in done.stderr
    assert "hint: `wpp-lake load` and `wpp-lake snapshot` write them" in done.stderr
    assert not (tmp_path / "pages").exists()


@pytest.mark.usefixtures("lake_environment")
def test_a_time_zone_that_there_is_not_is_refused() -> None:
    done = wpp_lake("notebooks", "--out", "pages", "--time-zone", "America/Nowhere")
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, "wpp-lake: no such time zone: America/Nowhere")


def test_without_a_lake_the_pages_say_so(tmp_path: Path) -> None:
    done = wpp_lake("notebooks", "--out", "pages", cwd=tmp_path)
    assert done.returncode == 1
    assert "has `wpp-lake up` run?" in done.stderr


def test_a_page_links_to_pages_alone() -> None:
    html = (
        '<a href="02_raw.ipynb">a</a> <a href="#b">b</a> <a href="../docs/adr.md">c</a> <a href="https://d.test">d</a>'
    )
    assert local_links(html) == '<a href="02_raw.html">a</a> <a href="#b">b</a> c d'


@pytest.mark.parametrize(
    ("kind", "path", "readers", "unread"),
    [
        ("messages.upsert", "$.message.extendedTextMessage.contextInfo.stanzaId", ["whatsapp_messages"], ""),
        ("messages.upsert", "$.pushName", ["tables"], ""),
        ("messages.upsert", "$.message.imageMessage.jpegThumbnail", [], "$.message.imageMessage.jpegThumbnail"),
        ("messages.upsert", "$.messageStubParameters[*]", ["tables", "whatsapp_membership_changes"], ""),
        (
            "chats.update",
            "$.messages[*].message.message.imageMessage.contextInfo.quotedMessage.conversation",
            [],
            "$.messages[*].message.message.imageMessage.contextInfo.quotedMessage",
        ),
        ("settings.update", "$.key", [], "$.key"),
    ],
)
def test_who_reads_a_path_is_told_from_rules_and_views(kind: str, path: str, readers: list[str], unread: str) -> None:
    assert (payload_readers.readers(kind, path), payload_readers.unread_from(kind, path)) == (readers, unread)
