"""The overview in a real browser: it fits a phone and a desk, asks nobody for anything, and works without its script.

Belongs here: what only a browser knows. Not: what it says (tests/docs).
"""

from collections.abc import Iterator

import pytest
from chromium import chromium
from playwright.sync_api import Browser, ViewportSize, expect
from project import ROOT

pytestmark = pytest.mark.browser

ADDRESS = (ROOT / "docs" / "overview.html").as_uri()
LANGUAGES = {"en": "en-US", "pt": "pt-BR"}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run a browser for this module."""
    with chromium() as running:
        yield running


@pytest.mark.parametrize("width", [320, 360, 768, 1024, 1440])
@pytest.mark.parametrize("language", LANGUAGES)
def test_it_fits_in_the_readers_language_and_loads_nothing(browser: Browser, language: str, width: int) -> None:
    size = ViewportSize(width=width, height=900)
    with browser.new_context(viewport=size, locale=LANGUAGES[language]) as context, context.new_page() as page:
        asked: list[str] = []
        said: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(ADDRESS)
        expect(page.locator("article:visible")).to_have_id(language)
        expect(page.locator("figure svg[role=img]:visible")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.evaluate("document.documentElement.lang") == {"en": "en", "pt": "pt-BR"}[language]
        assert ([url for url in asked if url not in {ADDRESS, "data:,"}], said) == ([], [])


def test_the_words_of_the_picture_stay_inside_it(browser: Browser) -> None:
    """In the widest letters that a machine has for them."""
    for width in (360, 1440):
        for locale in LANGUAGES.values():
            size = ViewportSize(width=width, height=900)
            with browser.new_context(viewport=size, locale=locale) as context, context.new_page() as page:
                page.goto(ADDRESS)
                outside = page.locator("figure svg[role=img]:visible").evaluate(
                    """picture => {
                        const frame = picture.getBoundingClientRect();
                        return [...picture.querySelectorAll("text")].filter(text => {
                            const box = text.getBoundingClientRect();
                            return box.left < frame.left || box.right > frame.right;
                        }).map(text => text.textContent);
                    }"""
                )
                assert outside == []


def test_the_switch_works_by_keyboard_and_without_its_script(browser: Browser) -> None:
    with browser.new_context(java_script_enabled=False) as context, context.new_page() as page:
        page.goto(ADDRESS)
        expect(page.locator("article:visible")).to_have_id("en")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowRight")
        expect(page.locator("article:visible")).to_have_id("pt")


def test_an_address_leads_to_a_section_in_its_language(browser: Browser) -> None:
    with browser.new_context(locale="en-US") as context, context.new_page() as page:
        page.goto(f"{ADDRESS}#pt-privacy")
        expect(page.locator("#pt-privacy")).to_be_in_viewport()
