"""Draws docs/images/architecture.svg: the path of an event, in light and dark. `make docs` writes it.

Belongs here: boxes, arrows, words of the picture. Not: writing the file (reference).
"""

from collections.abc import Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 1200, 340
TOP, TALL, WIDE, GAP = 84, 112, 146, 28
STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1f2328; }
  .name { font-weight: 600; font-size: 15px; }
  .small { fill: #59636e; font-size: 11.5px; }
  .box { fill: #f6f8fa; stroke: #59636e; stroke-width: 1.25; }
  .ours { fill: #ddf4ff; stroke: #0969da; }
  .line { fill: none; stroke: #59636e; stroke-width: 1.5; }
  .dashed { stroke-dasharray: 5 4; }
  .tip { fill: #59636e; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9198a1; }
    .box { fill: #151b23; stroke: #9198a1; }
    .ours { fill: #0c2d4d; stroke: #4493f8; }
    .line { stroke: #9198a1; }
    .tip { fill: #9198a1; }
  }
"""


class Box(NamedTuple):
    """A box: its name, what is in it, and whether this project is what runs there."""

    name: str
    lines: tuple[str, ...]
    ours: bool


BOXES = (
    Box("collector", ("WhatsApp session", "(Node, Baileys)", "keeps what isn't", "acknowledged"), ours=False),
    Box("receiver", ("verifies the bytes,", "answers 202 once", "they are durable", "(aiohttp)"), ours=True),
    Box(
        "landing zone", ("JSON lines, immutable,", "by hour of receipt:", "the source of truth", "(any S3)"), ours=False
    ),
    Box(
        "Dagster",
        ("finds new files,", "loads, writes, checks,", "tells what fails", "(15 s, 10 min, daily)"),
        ours=True,
    ),
    Box("Postgres", ("events, groups, people,", "ledger, quarantine,", "views of messages", "(18)"), ours=False),
    Box("snapshots", ("Parquet by UTC date,", "each put in one step", "", "(any S3)"), ours=False),
    Box("readers", ("notebooks, SQL,", "pandas, polars,", "DuckDB, Spark", ""), ours=False),
)
PROMISE = "Durable before it is acknowledged; authentic before it is a row; nothing is lost unseen."
ARROWS = ("POST", "put", "list", "load", "write", "read")


def svg() -> Iterator[str]:
    """Yield the lines of the picture."""
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="title">'
    yield '<title id="title">The path of an event: collector, receiver, landing zone, Dagster, Postgres, Parquet</title>'
    yield f"<style>{STYLE}</style>"
    yield '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    yield '<path class="tip" d="M0 0 8 4 0 8z"/></marker></defs>'
    left = (WIDTH - len(BOXES) * WIDE - (len(BOXES) - 1) * GAP) / 2
    lefts = [left + number * (WIDE + GAP) for number in range(len(BOXES))]
    for at, box in zip(lefts, BOXES, strict=True):
        yield from _box(at, box)
    for at, word in zip(lefts, ARROWS, strict=False):
        yield _line(f"M{at + WIDE:g} {TOP + TALL / 2:g}h{GAP - 2}")
        yield _text(at + WIDE + GAP / 2, TOP - 12, word, "small")
    middle = [at + WIDE / 2 for at in lefts]
    bottom = TOP + TALL
    yield _line(f"M{middle[2] + 12:g} {bottom}v40H{middle[4]:g}v-38", "line dashed")
    yield _text((middle[2] + middle[4]) / 2, bottom + 58, "rebuild: the tables anew from the landing zone", "small")
    yield _line(f"M{middle[5]:g} {bottom}v84H{middle[2] - 12:g}v-82", "line dashed")
    yield _text((middle[2] + middle[5]) / 2, bottom + 102, "reconcile, daily: landed lines = rows = Parquet", "small")
    yield _text(WIDTH / 2, 34, PROMISE, "name")
    yield "</svg>"


def _box(left: float, box: Box) -> Iterator[str]:
    kind = "box ours" if box.ours else "box"
    yield f'<rect class="{kind}" x="{left:g}" y="{TOP}" width="{WIDE}" height="{TALL}" rx="8"/>'
    yield _text(left + WIDE / 2, TOP + 24, box.name, "name")
    for number, line in enumerate(box.lines):
        yield _text(left + WIDE / 2, TOP + 46 + 17 * number, line, "small")


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="middle">{escape(words)}</text>'


def _line(path: str, kind: str = "line") -> str:
    return f'<path class="{kind}" d="{path}" marker-end="url(#tip)"/>'
