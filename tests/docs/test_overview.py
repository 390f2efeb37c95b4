"""The overview for those who don't read code: it loads nothing, says the same twice, and its figures have sources."""

import re

import pytest
from html_tree import Element, tree
from project import ROOT

from pipelines.settings import LakeSettings
from pipelines.snapshots.schemas import SCHEMAS

PAGE = ROOT / "docs" / "overview.html"
TEXT = PAGE.read_text()
LANGUAGES = ("en", "pt")
SECTIONS = ["flow", "data", "decisions", "privacy", "tests", "costs"]
LOADING_TAGS = {"img", "iframe", "object", "embed", "video", "audio", "source", "track", "image", "base", "form"}
LOADING_ATTRIBUTES = {"src", "srcset", "data", "poster", "background", "action", "formaction", "ping", "xlink:href"}
MONTHS = {"en": "{day} February {year}", "pt": "{day} de fevereiro de {year}"}
# Pairs of colours and the least contrast that WCAG AA asks of them: 4.5 for text, 3 for lines of a picture.
PAIRS = [
    ("ink", "paper", 4.5), ("ink", "card", 4.5), ("ink", "mark-back", 4.5), ("soft", "paper", 4.5),
    ("soft", "card", 4.5), ("water", "paper", 4.5), ("water", "card", 4.5), ("water", "mark-back", 4.5),
    ("paper", "water", 4.5), ("mark", "paper", 4.5), ("mark", "mark-back", 4.5), ("mark", "fill", 3),
    ("edge", "paper", 3), ("edge", "card", 3),
]  # fmt: skip


DOCUMENT = tree(TEXT)


def article(language: str) -> Element:
    """Return what a language's readers see."""
    [found] = [each for each in DOCUMENT.all("article") if each.attributes["id"] == language]
    return found


def section(language: str, name: str) -> Element:
    """Return one section of it."""
    [found] = [each for each in article(language).all("section") if each.attributes["data-section"] == name]
    return found


def value(figure: Element) -> str:
    """Return a figure as a program reads it."""
    return figure.attributes.get("value") or figure.attributes.get("datetime") or figure.attributes["data-value"]


def figures(within: Element) -> list[Element]:
    """Return the numbers and dates in it."""
    return [each for each in within.all("data", "time", "tspan") if "data-source" in each.attributes]


def sourced(within: Element) -> list[Element]:
    """Return what has a source: figures, and statements in words."""
    return [each for each in within.all() if "data-source" in each.attributes]


def words(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def test_nothing_is_loaded() -> None:
    """Neither by a tag, nor by an attribute, nor by the style, nor by the script."""
    everything = list(DOCUMENT.all())
    assert [each.tag for each in everything if each.tag in LOADING_TAGS] == []
    assert [each.attributes for each in everything if LOADING_ATTRIBUTES & set(each.attributes)] == []
    assert {each.attributes["href"] for each in everything if each.tag == "link"} == {"data:,"}
    assert [
        each.attributes["href"] for each in everything if each.tag == "use" and each.attributes["href"][0] != "#"
    ] == []
    assert re.findall(r"url\((?!#)[^)]*|@import|@font-face", TEXT) == []
    assert re.findall(r"fetch|XMLHttp|WebSocket|EventSource|sendBeacon|import\(|Worker", TEXT) == []


def test_the_browser_is_told_to_load_nothing() -> None:
    [policy] = [each.attributes["content"] for each in DOCUMENT.all("meta") if "http-equiv" in each.attributes]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert set(rules.values()) == {"'unsafe-inline'", "data:", "'none'"}


def test_nothing_is_remembered() -> None:
    """The switch has a radio button per language, which the browser isn't to fill in again either."""
    assert re.findall(r"localStorage|sessionStorage|document\.cookie|indexedDB", TEXT) == []
    switch = [each.attributes for each in DOCUMENT.all("input")]
    assert [(each["id"], each["autocomplete"]) for each in switch] == [("show-en", "off"), ("show-pt", "off")]


def test_both_languages_have_the_same_sections() -> None:
    for language in LANGUAGES:
        assert [each.attributes["data-section"] for each in article(language).all("section")] == SECTIONS
        headings = [each.attributes["id"] for each in article(language).all("section")]
        assert headings == [f"{language}-{name}" for name in SECTIONS]


def test_both_languages_are_built_alike() -> None:
    """Tag for tag, link for link: nobody reads a sentence less. Only the picture's texts may have other places."""

    def built(language: str) -> list[tuple[str, str, str]]:
        own = article(language).all()
        return [
            (each.tag, each.attributes.get("class", ""), each.attributes.get("href", "").replace(f"#{language}-", "#"))
            for each in own
        ]

    assert built("en") == built("pt")


@pytest.mark.parametrize("name", SECTIONS)
def test_both_languages_have_the_same_figures_and_sources(name: str) -> None:
    def found(language: str) -> list[tuple[str, str, str]]:
        return sorted(
            (
                each.attributes["data-source"],
                each.attributes.get("data-found", ""),
                value(each) if each in figures(section(language, name)) else "",
            )
            for each in sourced(section(language, name))
        )

    assert found("en") == found("pt")
    assert found("en") or name in {"decisions", "data"}


def sources() -> list[Element]:
    """Return each element with a source, in both languages."""
    return sourced(DOCUMENT)


def test_every_source_says_what_is_told_of_it() -> None:
    """Word for word: whoever changes the source looks at the page."""
    quoted = [each.attributes for each in sources() if "data-found" in each.attributes]
    gone = [
        (each["data-source"], each["data-found"])
        for each in quoted
        if each["data-found"] not in words((ROOT / each["data-source"]).read_text())
    ]
    assert (bool(quoted), gone) == (True, [])


def test_every_figure_stands_in_what_its_source_says() -> None:
    quoted = [each for each in figures(DOCUMENT) if "data-found" in each.attributes]
    other = [
        (value(each), each.attributes["data-found"])
        for each in quoted
        if value(each) not in re.findall(r"\d[\d.-]*\d|\d", each.attributes["data-found"].replace(",", ""))
    ]
    assert (bool(quoted), other) == (True, [])


def test_there_are_at_least_as_many_tests_as_it_says() -> None:
    counted = [each.attributes for each in figures(section("en", "tests")) if "data-tests" in each.attributes]
    said = {each["data-source"]: int(each["data-tests"]) for each in counted}
    beginning = re.compile(r"^\s*(?:async )?def test_", re.MULTILINE)
    there = {
        folder: sum(len(beginning.findall(file.read_text())) for file in (ROOT / folder).rglob("test_*.py"))
        for folder in said
    }
    assert [each["value"] for each in counted] == [each["data-tests"] for each in counted]
    assert len(said) == 7
    assert {folder: there[folder] for folder in said if there[folder] < said[folder]} == {}


def test_it_counts_the_losses_of_their_table() -> None:
    rows = [line for line in (ROOT / "docs/losses.md").read_text().splitlines() if line.startswith("| ")]
    [said] = {value(each) for each in figures(DOCUMENT) if "data-rows" in each.attributes}
    assert int(said) == len(rows) - 1  # the heading's


@pytest.mark.parametrize("language", LANGUAGES)
def test_figures_are_shown_as_the_language_writes_them(language: str) -> None:
    shown = [(value(each), each.tag, each.text()) for each in figures(article(language))]
    assert shown == [(figure, tag, written(figure, tag, language)) for figure, tag, _ in shown]


def written(figure: str, tag: str, language: str) -> str:
    """Return a number or a date in a language."""
    if tag == "time":
        year, _, day = figure.split("-")
        return MONTHS[language].format(day=day, year=year)
    whole, point, rest = figure.partition(".")
    english = f"{int(whole):,}{point}{rest}"
    return english if language == "en" else english.translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_figure_is_without_a_source(language: str) -> None:
    """Digits stand in what has one, and in the names of decisions."""
    loose = [
        text
        for text, element in article(language).texts()
        if re.search(r"\d", text)
        and element not in figures(article(language))
        and not element.text().startswith("ADR ")
    ]
    assert loose == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_bars_are_as_long_as_their_figures(language: str) -> None:
    groups = [each for each in article(language).all("div") if each.attributes.get("class") == "bars"]
    for group in groups:
        shown = [float(value(each)) for each in next(group.all("dl")).all("data")]
        lengths = [each.attributes["style"] for each in group.all("i")]
        assert lengths == [f"--share:{round(100 * each / max(shown), 1):g}%" for each in shown]
    assert len(groups) == 4


def test_every_link_leads_somewhere_in_the_repository() -> None:
    links = [each.attributes["href"] for each in DOCUMENT.all("a")]
    named = {each.attributes["id"] for each in DOCUMENT.all() if "id" in each.attributes}
    lost = [
        link
        for link in links
        if (link[1:] not in named if link.startswith("#") else not (PAGE.parent / link).is_file())
    ]
    assert lost == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_decisions_are_those_of_their_records(language: str) -> None:
    """Each link has the record's number, and none leads to a record that another one replaced."""
    index = (ROOT / "docs/adr/README.md").read_text()
    links = [each for each in section(language, "decisions").all("a") if each.text().startswith("ADR ")]
    for each in links:
        number = each.text().removeprefix("ADR ")
        [row] = [line for line in index.splitlines() if line.startswith(f"| [{number}]({each.attributes['href'][4:]})")]
        assert "replaced by" not in row
    assert len(links) >= 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_has_every_table_and_says_which_hold_personal_data(language: str) -> None:
    tables = (ROOT / "docs/spec.md").read_text().split("\n## Tables\n")[1].split("\n## ")[0]
    specified = re.findall(r"^\| `(\w+)` \|", tables, re.MULTILINE)
    rows = list(section(language, "data").all("dt"))
    names = {name.text(): row for row in rows for name in row.all("code")}
    marked = {name for name, row in names.items() if any(each.tag == "use" for each in row.all())}
    assert set(names) == {*specified, "payload_fields"}
    assert marked >= {*SCHEMAS, "payload_fields", "quarantined_events", "whatsapp_messages"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_statement_on_privacy_has_its_source(language: str) -> None:
    statements = list(section(language, "privacy").all("li"))
    assert len(statements) > 10
    assert [each.text() for each in statements if "data-source" not in each.attributes] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_review_has_the_date_of_the_setting(language: str) -> None:
    dates = {value(each) for each in article(language).all("time")}
    assert dates == {str(LakeSettings.model_fields["privacy_review_by"].default)}


def colours() -> list[dict[str, str]]:
    """Return the colours by name: in light, in dark, in print."""
    blocks = re.findall(r":root \{(.*?)\}", TEXT, re.DOTALL)
    return [dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", block)) for block in blocks]


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1, 2], ids=["light", "dark", "print"])
def test_colours_have_contrast(scheme: int) -> None:
    named = colours()[scheme]

    def contrast(one: str, other: str) -> float:
        darker, lighter = sorted((luminance(named[one]), luminance(named[other])))
        return (lighter + 0.05) / (darker + 0.05)

    assert {(one, other): contrast(one, other) for one, other, least in PAIRS if contrast(one, other) < least} == {}
