"""A page of HTML as a tree, for tests that ask what is in it.

Belongs here: elements, their attributes and texts. Not: expectations; pages whose tags aren't closed.
"""

from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"meta", "link", "input"}


class Element:
    """An element of the page: its tag, attributes and what is in it, elements and texts."""

    def __init__(self, tag: str, attributes: dict[str, str], parent: "Element | None" = None) -> None:
        self.tag, self.attributes, self.parent = tag, attributes, parent
        self.content: list[Element | str] = []

    def all(self, *tags: str) -> Iterator["Element"]:
        """Yield the elements in it, those of some tags, in their order."""
        for each in self.content:
            if isinstance(each, Element):
                if not tags or each.tag in tags:
                    yield each
                yield from each.all(*tags)

    def texts(self) -> Iterator[tuple[str, "Element"]]:
        """Yield each text in it, with the element that it stands in."""
        for each in self.content:
            if isinstance(each, Element):
                yield from each.texts()
            else:
                yield each, self

    def text(self) -> str:
        """Return all of its text."""
        return " ".join("".join(text for text, _ in self.texts()).split())


class Parser(HTMLParser):
    """Builds the tree of elements; a tag that isn't closed in order is an error."""

    def __init__(self) -> None:
        super().__init__()
        self.root = self.here = Element("", {})

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        self.here.content.append(element := Element(tag, {name: value or "" for name, value in attrs}, self.here))
        if tag not in VOID:
            self.here = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Add an element that has nothing in it."""
        self.here.content.append(Element(tag, {name: value or "" for name, value in attrs}, self.here))

    def handle_endtag(self, tag: str) -> None:
        """Close the element that was opened last."""
        assert tag == self.here.tag
        assert self.here.parent
        self.here = self.here.parent

    def handle_data(self, data: str) -> None:
        """Add a text."""
        self.here.content.append(data)


def tree(text: str) -> Element:
    """Return the element that holds a whole page."""
    parser = Parser()
    parser.feed(text)
    assert parser.here is parser.root
    return parser.root
