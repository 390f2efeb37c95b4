"""Debian's Chromium under Playwright, and what it shows of Dagster's web interface.

Belongs here: the browser, opening pages, pictures of them. Not: expectations. Only tests/browser imports it, since only
`make test-browser` installs Playwright.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debian import program
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize, expect, sync_playwright
from project import ROOT

IMAGES = ROOT / "docs" / "images"
PATIENCE_MILLISECONDS = 60_000  # for a page, on a machine that others may share
WIDTH, HEIGHT = 1280, 800
expect.set_options(PATIENCE_MILLISECONDS)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium without a window until the block ends."""
    path = program("chromium", "chromium")
    options = ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses its sandbox to root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=options)
        yield browser
        browser.close()


class Console:
    """Dagster's web interface in a browser's window, and the folder for pictures of it."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page, self.url, self.pictures = page, url, pictures

    def open(self, path: str) -> Page:
        """Open a page of the interface. The first one after a start of the webserver may fail once."""
        for _ in range(2):
            response = self.page.goto(f"{self.url}{path}")
            if response and response.ok:
                break
        return self.page

    def picture(self, name: str) -> None:
        """Save what the window shows; where WRITE_SCREENSHOTS is set, in the place of the picture that docs show."""
        file = f"console-{name}.png"
        self.page.screenshot(path=self.pictures / file)
        if os.environ.get("WRITE_SCREENSHOTS") and (IMAGES / file).exists():
            shutil.copyfile(self.pictures / file, IMAGES / file)


@contextmanager
def session(browser: Browser, width: int = WIDTH, height: int = HEIGHT) -> Iterator[BrowserContext]:
    """Share cache and storage between windows of that size, whose pictures have WIDTH whatever it is."""
    size = ViewportSize(width=width, height=height)
    with browser.new_context(viewport=size, device_scale_factor=WIDTH / width) as context:
        context.set_default_timeout(PATIENCE_MILLISECONDS)
        yield context


@contextmanager
def console(context: BrowserContext, url: str, pictures: Path) -> Iterator[Console]:
    """Open a window."""
    with context.new_page() as page:
        yield Console(page, url, pictures)
