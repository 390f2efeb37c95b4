"""Dagster's web interface in a real browser, on a running `wpp-lake up`: what people see, and what its buttons do.

Belongs here: one claim per page, and a picture of it. Not: what the assets, checks and jobs do by themselves
(pipelines/orchestration), the guard of the webserver.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from chromium import WIDTH, Console, chromium, console, session
from factories import SECRET, event, line, message, participant
from lake import SAMPLE
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from stack_process import WPP_LAKE, Running, running, store_client

from pipelines.landing.hours import hour_key
from receiver.landing import file_metadata, new_key

pytestmark = pytest.mark.browser

GROUPS = {
    "landing": ["files"],
    "tables": ["whatsapp_events", "whatsapp_groups", "whatsapp_participants"],
    "snapshots": [
        "payload_fields", "whatsapp_events", "whatsapp_groups", "whatsapp_participant_jids", "whatsapp_participants",
    ],
}  # fmt: skip
STATE = GROUPS["snapshots"][2:]
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
FIRST, YESTERDAY = TODAY - timedelta(days=3), TODAY - timedelta(days=1)  # in between, nothing was received
HOURS = [FIRST.replace(hour=hour) for hour in (6, 9, 20)]
OLD_EVENTS = 4  # in each file
TOOLBAR = 108  # pixels above the graph
LONG_MILLISECONDS = 180_000  # for runs, which are processes, and for the daemon, which looks for them every so often


class Stack:
    """A running stack, whose past has been landed too."""

    def __init__(self, up: Running) -> None:
        self.environment = up.environment()
        self.landed: dict[datetime, str] = {}  # each hour's file
        self.url = f"http://127.0.0.1:{up.dagster_port}"

    def wpp_lake(self, *words: object) -> str:
        """Run a verb on the stack; return what it printed."""
        command = [WPP_LAKE, *map(str, words)]
        return subprocess.check_output(command, env=os.environ | self.environment, text=True, timeout=120)

    def land(self, hour: datetime, name: str) -> str:
        """Put a landing file of that hour, as the receiver would have; return its key."""
        moment, key = hour + timedelta(minutes=30), new_key(hour)
        lines = [
            line(event(message(participant(number), key=f"{key}{number}")), f"{name} {hour} {number}", moment)
            for number in range(OLD_EVENTS)
        ]
        content = b"".join(lines)
        with closing(store_client(self.environment)) as client:
            client.put_object(
                Bucket=self.environment["LANDING_BUCKET"],
                Key=key,
                Body=content,
                Metadata=file_metadata(SECRET.encode(), key, content),
            )
        return key

    def delete(self, key: str) -> None:
        """Delete a landing file."""
        with closing(store_client(self.environment)) as client:
            client.delete_object(Bucket=self.environment["LANDING_BUCKET"], Key=key)

    def rows(self, table: str) -> int:
        """Return how many rows a table has."""
        with psycopg.connect(self.environment["DATABASE_URL"], sslmode="prefer") as connection:
            return connection.execute(f"select from {table}".encode()).rowcount

    def received(self, hour: datetime) -> int:
        """Return how many events of an hour are in the table."""
        found = "select from whatsapp_events where date_trunc('hour', received_at) = %s"
        with psycopg.connect(self.environment["DATABASE_URL"], sslmode="prefer") as connection:
            return connection.execute(found, [hour]).rowcount


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run `up` with the sample and some events of a past date, loaded and written."""
    settings = {"WHATSAPP_WEBHOOK_SECRET": SECRET, "PARTITIONS_SINCE": FIRST.isoformat()}
    with running("up", tmp_path_factory.mktemp("up") / "lake", **settings) as up:
        up.line("READY")
        stack = Stack(up)
        stack.landed = {hour: stack.land(hour, "landed") for hour in HOURS}
        assert "300" in stack.wpp_lake("send", SAMPLE)
        stack.wpp_lake("load")
        stack.wpp_lake("snapshot")
        yield stack


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run the browser for all tests."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    """Open what windows of the usual size share, so that each script is fetched once."""
    with session(browser) as context:
        yield context


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for the pictures."""
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture
def window(stack: Stack, context: BrowserContext, pictures: Path) -> Iterator[Console]:
    """Open a window."""
    with console(context, stack.url, pictures) as window:
        yield window


class Box(NamedTuple):
    """A box in the graph: its first line, and where it is."""

    text: str
    left: float
    right: float
    top: float
    bottom: float

    def holds(self, other: "Box") -> bool:
        """Tell whether another box is inside."""
        return self.left <= other.left and other.right <= self.right and self.top <= other.top <= self.bottom


def boxes(found: Locator) -> list[Box]:
    """Return where the parts of the graph are."""
    placed = found.evaluate_all(
        "all => all.map(one => [one.firstElementChild.innerText.split('\\n')[0], one.getBoundingClientRect().toJSON()])"
    )
    return [Box(text, at["left"], at["right"], at["top"], at["bottom"]) for text, at in placed]


def test_the_graph_leads_from_the_landing_zone_to_the_snapshots(window: Console) -> None:
    """All nine assets, each in its group, and the groups from left to right; and all of it fits into a window."""
    page = window.page
    page.set_viewport_size({"width": 1920, "height": 1200})  # in a smaller one it cuts names short
    window.open("/asset-groups?expanded=" + "%2C".join(f"global%40global%3A{group}" for group in GROUPS))
    expect(page.locator("foreignObject.group")).to_have_count(len(GROUPS))
    expect(page.locator("foreignObject").filter(has_text="% filled").first).to_be_visible()
    parts, groups = boxes(page.locator("foreignObject")), boxes(page.locator("foreignObject.group"))
    assert [each.text for each in sorted(groups, key=lambda each: each.left)] == list(GROUPS)
    inside = {group.text: {each.text for each in parts if group.holds(each)} - {"", group.text} for group in groups}
    assert {group: sorted(names) for group, names in inside.items()} == GROUPS
    page.get_by_role("button", name="panel_show_right", exact=True).click()  # the list beside it
    page.set_viewport_size({"width": WIDTH, "height": 960})
    for _ in range(12):
        if all(TOOLBAR < each.top <= each.bottom < 960 for each in boxes(page.locator("foreignObject"))):
            break
        page.get_by_role("button", name="zoom_out").click()
    else:
        pytest.fail("it is larger still")
    window.picture("graph")


def test_an_assets_page_says_what_it_is_and_how_much(stack: Stack, browser: Browser, pictures: Path) -> None:
    """Description, columns with their meanings, owners, tags, rows, and the code that makes it."""
    with (
        session(browser, width=1440, height=900) as context,
        console(context, stack.url, pictures) as window,
    ):  # narrower, its numbers overlap
        page = window.open("/assets/tables/whatsapp_events")
        expect(page.get_by_text("One row per event id, however often it was delivered.")).to_be_visible()
        column = page.get_by_role("row").filter(has_text=re.compile("^event_id"))
        expect(column).to_contain_text("id of the event, given by the collector; never changes (UUID)")
        for owner in ("data", "data-privacy"):
            expect(page.get_by_text(owner, exact=True)).to_be_visible()
        expect(page.get_by_text("personal-data: yes")).to_be_visible()
        expect(page.locator("a[href*='/pipelines/orchestration/assets.py:']")).to_be_visible()
        expect(row_count(page)).to_have_text(str(stack.rows("whatsapp_events")))
        window.picture("asset")


def row_count(page: Page) -> Locator:
    """Return where an asset's page has its number of rows."""
    return page.get_by_text("Row count", exact=True).locator("xpath=following::*[normalize-space(text())][1]")


@pytest.mark.parametrize(
    "asset", [*(f"tables/{table}" for table in GROUPS["tables"][1:]), *(f"snapshots/{table}" for table in STATE)]
)
def test_an_assets_page_has_the_rows_of_its_table(stack: Stack, window: Console, asset: str) -> None:
    page = window.open(f"/assets/{asset}")
    expect(row_count(page)).to_have_text(str(stack.rows(asset.partition("/")[2])))


@pytest.fixture(scope="module")
def backfills(stack: Stack, context: BrowserContext, pictures: Path) -> tuple[str, str]:
    """Start backfills of hours and of dates, which take their time; return where their pages are."""
    stack.land(HOURS[1], "for the backfill")
    with console(context, stack.url, pictures) as window:
        hours = backfill(window, "tables", f"[{hour_key(HOURS[0] - timedelta(hours=1))}...{hour_key(HOURS[1])}]")
        dates = backfill(window, "snapshots", f"[{FIRST.date()}...{YESTERDAY.date()}]")
    return hours, dates


def backfill(window: Console, group: str, partitions: str) -> str:
    """Start a backfill of a group's assets, and return the address of its page."""
    page = window.open(f"/locations/wpp-lake/asset-groups/{group}/lineage")
    page.get_by_text("Materialize all").click()
    chosen = page.get_by_role("dialog").get_by_role("textbox").first
    chosen.fill(partitions)
    chosen.press("Enter")
    page.get_by_role("button", name="Launch backfill").click()
    link = page.get_by_role("link", name="View", exact=True).get_attribute("href")
    assert link
    return str(link)


@pytest.mark.usefixtures("backfills")
def test_ticks_that_ask_for_no_run_say_why(window: Console) -> None:
    page = window.open("/locations/wpp-lake/sensors/new_landing_files")
    page.get_by_role("button", name="0 runs requested").first.click()
    why = re.compile("Skip reason: (no new landing files|a load is on its way|a load began within LOAD_SECONDS)")
    expect(page.get_by_role("dialog")).to_contain_text(why)
    window.picture("tick")


@pytest.mark.usefixtures("backfills")
def test_a_button_takes_typed_configuration(stack: Stack, window: Console) -> None:
    """What it takes is explained beside it, and what is launched with it succeeds."""
    stack.land(HOURS[2], "for the button")
    page = window.open("/locations/wpp-lake/jobs/load_range/playground")
    expect(page.locator(".CodeMirror-line").filter(has_text=hour_key(FIRST))).to_be_visible()  # what it begins with
    page.locator(".CodeMirror-line").first.click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(f"ops:\n  load_hours:\n    config:\n      first: {hour_key(HOURS[2])}\n")
    page.locator(".CodeMirror-line").filter(has_text="first").click()
    expect(page.get_by_text("First UTC hour, as 2026-05-21-06:00.")).to_be_visible()
    expect(page.get_by_text("Last UTC hour, included; without it the first one alone.")).to_be_visible()
    expect(page.get_by_text("No errors")).to_be_visible()
    window.picture("launchpad")
    page.get_by_role("button", name="Launch Run").click()
    expect(page.get_by_text("Success", exact=True)).to_be_visible(timeout=LONG_MILLISECONDS)
    window.picture("run")
    assert stack.received(HOURS[2]) == 2 * OLD_EVENTS


def has_filled(window: Console, link: str, partitions: dict[str, int]) -> None:
    """Wait until a backfill has filled so many partitions of each asset, and failed at none; 0: it has none."""
    page = window.open(link)
    expect(page.get_by_text("Status", exact=True).locator("..")).to_contain_text("Succeeded", timeout=LONG_MILLISECONDS)
    for asset, number in partitions.items():
        cells = f"{number}0{number}0" if number else "--Succeeded-"  # targeted, in progress, succeeded, failed
        expect(page.locator("body")).to_contain_text(f"{asset}100% completed{cells}")


def test_a_range_of_the_past_is_filled_by_a_backfill(stack: Stack, window: Console, backfills: tuple[str, str]) -> None:
    """Hours of the tables and dates of all snapshots, with those in which nothing was received."""
    hours, dates = backfills
    has_filled(window, hours, dict.fromkeys((f"tables / {table}" for table in GROUPS["tables"]), 5))
    assert stack.received(HOURS[1]) == 2 * OLD_EVENTS
    dated = dict.fromkeys(("snapshots / whatsapp_events", "snapshots / payload_fields"), 3)
    has_filled(window, dates, dated | dict.fromkeys((f"snapshots / {table}" for table in STATE), 0))
    window.picture("backfill")


def test_a_failed_check_names_its_remedy(stack: Stack, window: Console) -> None:
    """A landing file that is lost, say. This comes last, since nothing mends it."""
    stack.delete(stack.landed[HOURS[2]])
    stack.wpp_lake("load", "--hour", hour_key(HOURS[2]))
    page = window.open("/assets/tables/whatsapp_events?view=checks&checkDetail=files_as_loaded")
    expect(page.get_by_text("Evaluation result").locator("..")).to_contain_text("Failed")
    remedy = page.get_by_role("row").filter(has_text=re.compile("^remedy"))
    expect(remedy).to_contain_text(
        "restore the landing file; if it is lost, `wpp-lake rebuild --accept-loss --reason WHY`"
    )
    window.picture("check")
