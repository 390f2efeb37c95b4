"""The notebooks as pages: each run on the lake of the environment, and written as one HTML file that needs no other.

Belongs here: running them, the pages around them. Not: how a page looks (notebooks/page), what a notebook asks. Needs
the `notebooks` extra.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import nbformat
import papermill
from jinja2 import Environment
from nbconvert import HTMLExporter
from traitlets.config import Config

from pipelines.errors import WppLakeError, first_line

if TYPE_CHECKING:
    from nbformat import NotebookNode

# Kernels are spoken to by sockets that are this user's files, not over TCP, and ended once their notebook is done.
KERNELS = Config({"KernelManager": {"transport": "ipc"}, "NotebookClient": {"shutdown_kernel": "immediate"}})
INK = "#6b7787"  # notebooks/style.py writes charts in it; in a page they have the page's own
_PROLOGUE = re.compile(r"^.*?(?=<svg)|<metadata>.*?</metadata>|<style[^>]*>.*?</style>", re.DOTALL)
_ROOT_SIZE = re.compile(r'(<svg[^>]*?) (?:width|height)="[^"]*"')
_LINK = re.compile(r'<a href="([^"]*)"[^>]*>(.*?)</a>', re.DOTALL)


class NotebookError(WppLakeError):
    """A notebook failed; the message says which and why."""


class Notebook(NamedTuple):
    """A notebook: its file, and what it says of itself."""

    file: Path
    title: str
    summary: str

    @property
    def page(self) -> str:
        """The name of its page."""
        return f"{self.file.stem}.html"


def write(folder: Path, **parameters: Any) -> Iterator[Path]:
    """Run every notebook with these parameters, and yield each page once it is written, the index last.

    Raises NotebookError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    footer = f"Written {datetime.now(UTC):%d %B %Y, %H:%M} UTC from the snapshots of the lake. Personal data."
    with as_file(files("notebooks")) as source:
        found = [_described(file) for file in sorted(source.glob("*.ipynb"))]
        for each in found:
            html = _exporter(source).from_notebook_node(
                _run(each, parameters), {"page": _page(source, each, found, footer)}
            )[0]
            yield _written(folder / each.page, html)
        yield _written(folder / "index.html", _index(source, found, footer))


def _described(file: Path) -> Notebook:
    """Read what a notebook's first cell says: its title, and the paragraph below."""
    title, summary, *_ = nbformat.reads(file.read_text(), as_version=4).cells[0].source.split("\n\n")
    return Notebook(file, title.removeprefix("# "), summary.replace("`", ""))


def _run(notebook: Notebook, parameters: dict[str, Any]) -> "NotebookNode":
    try:
        run: NotebookNode = papermill.execute_notebook(
            notebook.file, None, parameters, progress_bar=False, config=KERNELS
        )
    except papermill.PapermillExecutionError as error:
        raise NotebookError(f"{notebook.file.name}: {error.ename}: {first_line(ValueError(error.evalue))}") from None
    return run


def _exporter(source: Path) -> HTMLExporter:
    filters = {"themed": themed, "local_links": local_links}
    return HTMLExporter(extra_template_basedirs=[str(source)], template_name="page", filters=filters)


def _page(source: Path, notebook: Notebook, siblings: list[Notebook], footer: str) -> dict[str, object]:
    """Return what the template fills in beside the notebook."""
    return {
        "title": notebook.title,
        "file": notebook.page,
        "siblings": [{"file": each.page, "title": each.title} for each in siblings],
        "css": (source / "page" / "page.css").read_text(),
        "footer": footer,
    }


def _index(source: Path, found: list[Notebook], footer: str) -> str:
    pages = [{"file": each.page, "title": each.title, "summary": each.summary} for each in found]
    template = Environment(autoescape=True).from_string((source / "page" / "pages.html.j2").read_text())
    css = (source / "page" / "page.css").read_text()
    return template.render(pages=pages, footer=footer, css=css)


def _written(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8")
    return file


def themed(svg: str) -> str:
    """Return a chart as an element of the page, as wide as that and in its ink."""
    drawn = _ROOT_SIZE.sub(r"\1", _ROOT_SIZE.sub(r"\1", _PROLOGUE.sub("", svg)))
    return drawn.replace(INK, "var(--soft)")


def local_links(html: str) -> str:
    """Leave the links within a page and to other notebooks; of those to files that aren't there, their words."""

    def kept(match: re.Match[str]) -> str:
        address, words = match.groups()
        if address.endswith(".ipynb"):
            return f'<a href="{escape(Path(address).stem)}.html">{words}</a>'
        return match[0] if address.startswith("#") else words

    return _LINK.sub(kept, html)
