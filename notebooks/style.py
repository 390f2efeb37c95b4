"""The one style of all notebooks: colours, charts, tables, words for numbers, so that a notebook is about its question.

Belongs here: how something looks, and how a number or a sender's word is written. Not: what is asked of the lake (the
notebooks), where it is read (pipelines.notebook), the page around it all (page/). Nothing happens before `begin()`.

Every colour reads on white and on black alike, for Jupyter, editors and the pages all have both. Whatever senders have
chosen, a name say, is no HTML, no mathematics, and without emoji, which few fonts have.
"""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import pandas as pd
from cycler import cycler
from IPython.display import HTML, display
from matplotlib.collections import PatchCollection
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator
from matplotlib_inline.backend_inline import set_matplotlib_formats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas.io.formats.style import Styler

INK, LINE = "#6b7787", "#9aa5b1"  # the pages' style sheet makes INK the page's own
BLUE, ORANGE, GREEN, PURPLE, RED, GREY = "#3b82c4", "#dd8436", "#3f9e78", "#8d78c9", "#cf5f5a", "#94a0ae"
WIDTH = 9.0  # inches of every chart
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
NONE = "\N{EN DASH}"
_PERCENT = "\N{NO-BREAK SPACE}%"
STEPS = (0.0, 0.25, 0.5, 1.0)  # of a heat map that its key shows
_PALEST = 0.07  # where a heat map has nothing
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_KIBI = 1024
_TEXT = "text-align:left;white-space:normal"
_PATH = f"{_TEXT};overflow-wrap:anywhere;min-width:24em"
_CELLS = (
    {"selector": "th", "props": "text-align:left;font-weight:600"},
    {"selector": "td", "props": "text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums"},
)
_CHARTS: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.labelsize": 10,
    "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PURPLE, RED, GREY]),
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.use": True,
    "figure.facecolor": "none",
    "figure.figsize": (WIDTH, 3.2),
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "font.size": 10,
    "grid.alpha": 0.35,
    "grid.color": LINE,
    "grid.linewidth": 0.7,
    "legend.fontsize": 10,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",  # letters stay letters, in the font of the page
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "xtick.major.size": 0,
    "ytick.color": INK,
    "ytick.major.size": 0,
}


def begin() -> None:
    """Set this style for the charts and tables of a notebook."""
    plt.rcParams |= _CHARTS
    set_matplotlib_formats("svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    pd.options.display.html.use_mathjax = pd.options.styler.html.mathjax = False
    pd.options.styler.render.max_elements = 1 << 20
    warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the page's font may well have it


# Words for numbers, times and names


def number(value: Any) -> str:
    """Return a number with its thousands apart; a dash for none."""
    if pd.isna(value):
        return NONE
    text = f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.1f}"
    return text.replace("-", "\N{MINUS SIGN}")


def percent(share: Any) -> str:
    """Return a share of 1 in percent, never rounded to nothing or to all where it is neither."""
    if pd.isna(share):
        return NONE
    if 0 < share < 0.0005 or 0.995 <= share < 1:
        return f"under 0.1{_PERCENT}" if share < 0.5 else f"over 99{_PERCENT}"
    return f"{100 * share:.{1 if 0 < share < 0.0995 else 0}f}".removesuffix(".0") + _PERCENT


def several(count: float, one: str, more: str | None = None) -> str:
    """Return a count with its noun: 1 message, 2 messages."""
    return f"{number(count)} {one if count == 1 else more or one + 's'}"


def size(count: Any) -> str:
    """Return a number of bytes in the unit that suits it."""
    if pd.isna(count):
        return NONE
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if abs(count) < _KIBI or unit == "GiB":
            break
        count /= _KIBI
    return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 10 else f"{count:,.1f} {unit}"


def duration(seconds: Any) -> str:
    """Return a time that something took, in the unit that suits it."""
    if pd.isna(seconds):
        return NONE
    for unit, least in (("days", 2 * _DAY), ("h", 2 * _HOUR), ("min", 2 * _MINUTE)):
        if abs(seconds) >= least:
            return f"{seconds / {'days': _DAY, 'h': _HOUR, 'min': _MINUTE}[unit]:,.0f} {unit}"
    return f"{seconds:,.0f} s" if abs(seconds) >= 1 or seconds == 0 else f"{seconds:,.1f} s"


def span(times: "pd.Series[Any]") -> str:
    """Return the first and the last of some times, the date once where it is the same."""
    if times.isna().all():
        return "no time"
    first, last = times.min(), times.max()
    return f"{first:%d %b %Y, %H:%M} to {last:{'%H:%M' if first.date() == last.date() else '%d %b %Y, %H:%M'}}"


def label(name: object, other: object = "", most: int = 30) -> str:
    """Return a name as a chart can show it: without emoji, cut where it is long; `other` where nothing is left."""
    text = name if isinstance(name, str) else ""
    plain = " ".join(re.sub(r"[^\w\s.,;:!?()&+@#%/'\"<>=$^{}-]", "", text).split())
    shown = plain or str(other or "without a name")
    return shown if len(shown) <= most else f"{shown[: most - 1].rstrip()}…"


# Words beside charts


def headline(seen: str, counted: str = "") -> None:
    """Show what is to be seen in the chart below, and, smaller, what it counts."""
    note = f'<p style="margin:.1em 0 .4em;opacity:.72">{escape(counted)}</p>' if counted else ""
    heading = f'<p style="margin:.6em 0 0;font-size:1.15em"><strong>{escape(seen)}</strong></p>'
    display(HTML(f'<div class="headline mathjax_ignore">{heading}{note}</div>'))


def nothing(words: str) -> None:
    """Say in words, in the place of a chart, why there is none."""
    display(HTML(f'<p class="nothing mathjax_ignore" style="opacity:.72"><em>{escape(words)}</em></p>'))


def note(words: str) -> None:
    """Say something beside figures or charts, as a notebook's own words do."""
    display(HTML(f'<p class="note mathjax_ignore">{escape(words)}</p>'))


def figures(values: Mapping[str, object]) -> None:
    """Show some figures, large, each with what it is."""
    tiles = "".join(
        f'<div style="min-width:8.5em"><div style="font-size:1.5em;font-weight:600">{escape(str(value))}</div>'
        f'<div style="opacity:.72">{escape(name)}</div></div>'
        for name, value in values.items()
    )
    style = "display:flex;flex-wrap:wrap;gap:1em 2.2em;margin:.8em 0"
    display(HTML(f'<div class="figures mathjax_ignore" style="{style}">{tiles}</div>'))


def table(frame: pd.DataFrame, **forms: Any) -> "Styler":
    """Show a table: numbers with thousands apart and to the right, no NaN, and whatever it says is no HTML.

    `forms` gives a column another form, such as `share=style.percent`.
    """
    shown = frame.rename(columns=lambda name: str(name).replace("_", " "))
    shown = shown.replace({True: "yes", False: "no"}) if any(map(pd.api.types.is_bool_dtype, shown.dtypes)) else shown
    numeric = [name for name in shown if pd.api.types.is_numeric_dtype(shown[name])]
    given = {name.replace("_", " "): form for name, form in forms.items()}
    every: Any = dict.fromkeys(numeric, number) | given
    styled = shown.style.format(every, na_rep=NONE, escape="html")
    styled = styled.format_index(escape="html", axis=0).format_index(escape="html", axis=1)
    heads = [
        {"selector": f"th.col_heading.level0.col{place}", "props": "text-align:right"}
        for place, name in enumerate(shown)
        if name in every
    ]
    left: Any = {
        name: [{"selector": "", "props": _PATH if name == "path" else _TEXT}] for name in shown if name not in every
    }
    cells: Any = [*_CELLS, *heads]
    styled = styled.set_table_styles(cells).set_table_styles(left, overwrite=False)
    return styled.hide(axis="index") if isinstance(frame.index, pd.RangeIndex) else styled


# Charts


def axes(height: float = 3.2, **more: Any) -> Any:
    """Return the axes of a new chart, as wide as the page."""
    return plt.subplots(figsize=(WIDTH, height), **more)[1]


def counts(at: "Axes", *, axis: str = "y") -> None:
    """Mark an axis with whole numbers from 0, thousands apart."""
    each = at.yaxis if axis == "y" else at.xaxis
    each.set_major_locator(MaxNLocator(5, integer=True))
    each.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    (at.set_ylim if axis == "y" else at.set_xlim)(0)


def shares(at: "Axes", *, axis: str = "y") -> None:
    """Mark an axis in percent."""
    each = at.yaxis if axis == "y" else at.xaxis
    each.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g}{_PERCENT}"))


def times(at: "Axes") -> None:
    """Mark the axis of time with few dates, as short as they can be."""
    at.xaxis.set_major_locator(locator := AutoDateLocator(minticks=3, maxticks=8))
    at.xaxis.set_major_formatter(ConciseDateFormatter(locator, show_offset=False))


def weeks(at: "Axes", starts: Iterable[Any]) -> None:
    """Mark an axis on which each week has a place with the date on which it begins, some of them if they are many."""
    names = [f"{start:%d %b}" for start in starts]
    step = len(names) // 10 + 1
    at.set_xticks(range(0, len(names), step), names[::step])
    at.set_xlim(-0.6, max(len(names), 6) - 0.4)


def legend(at: "Axes", columns: int = 4, **more: Any) -> None:
    """Put the legend above the chart, where it covers nothing."""
    at.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=columns,
        borderaxespad=0.2,
        handlelength=1.2,
        columnspacing=2.8,
        **more,
    )


def until_last(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Leave out what comes after the last entry that isn't nothing."""
    return values[values[::-1].cumsum()[::-1] > 0]


def bars(values: "pd.Series[Any]", colours: Any = BLUE, form: Any = number) -> "Axes":
    """Draw a bar per entry, the first on top, each with its value beside it."""
    at: Axes = axes(0.27 * len(values) + 0.3)
    names = [label(name, most=36) for name in values.index]
    drawn = at.barh(range(len(values)), values.to_numpy(), color=colours, height=0.72)
    at.bar_label(drawn, [form(value) for value in values], padding=4, color=INK)
    at.set_yticks(range(len(values)), names)
    at.invert_yaxis()
    at.set_xticks([])
    at.grid(visible=False)
    at.spines["bottom"].set_visible(False)
    at.set_xlim(0, max(values.max(), 1e-9) * 1.12)
    at.margins(y=0.02)
    return at


def heat(  # noqa: PLR0913  what is drawn, its names, and how they are written
    at: "Axes",
    values: pd.DataFrame,
    columns: Sequence[str],
    rows: Sequence[str],
    *,
    form: Any = number,
    every: int = 1,
    key: bool = True,
) -> None:
    """Draw a heat map: a tile per row and column, deeper where there is more, with a key above it unless told not to.

    `every` so many columns have their names below them.
    """
    most = float(values.max().max() or 0) if values.size else 0.0
    tiles = [
        (Rectangle((column + 0.04, row + 0.05), 0.92, 0.9), _deep(value / most if most else 0))
        for row, line in enumerate(values.fillna(0).to_numpy())
        for column, value in enumerate(line)
    ]
    at.add_collection(
        PatchCollection([tile for tile, _ in tiles], facecolors=[colour for _, colour in tiles], linewidths=0)
    )
    at.set(xlim=(0, len(values.columns)), ylim=(len(values), 0))
    at.set_yticks([row + 0.5 for row in range(len(rows))], rows)
    at.set_xticks([column + 0.5 for column in range(0, len(columns), every)], columns[::every])
    at.grid(visible=False)
    at.spines[:].set_visible(False)
    if most and key:
        shown = {_in_key(most * step, most, form): Patch(color=_deep(step)) for step in STEPS}  # equal ones once
        at.legend(
            shown.values(), shown.keys(), loc="lower right", bbox_to_anchor=(1, 1), ncols=len(shown),
            handlelength=0.9, handleheight=0.9, columnspacing=1.2, borderaxespad=0.2,
        )  # fmt: skip


def _in_key(value: float, most: float, form: Any) -> str:
    """Return a value of a heat map's key, rounded where there are enough."""
    return str(form(round(value) if form is number and most >= len(STEPS) else value))


def _deep(share: float) -> tuple[str, float]:
    """Return the colour of a share of 1."""
    return BLUE, _PALEST + (1 - _PALEST) * share


def by_hour(moments: "pd.Series[Any]") -> pd.DataFrame:
    """Count local times by weekday and hour, with every weekday and every hour."""
    found = moments.dropna()
    crossed = pd.crosstab(found.dt.dayofweek, found.dt.hour)
    return crossed.reindex(index=range(7), columns=range(24), fill_value=0)


def outline(at: "Axes", *, row: int, column: int) -> None:
    """Mark a tile of a heat map."""
    at.add_patch(Rectangle((column + 0.1, row + 0.12), 0.8, 0.76, fill=False, edgecolor=ORANGE, linewidth=1.4))


def stacked(at: "Axes", values: pd.DataFrame, colours: Mapping[str, str]) -> None:
    """Draw a bar per row, the first on top, in the parts that the columns are."""
    begin = [0.0] * len(values)
    for name, colour in colours.items():
        at.barh(range(len(values)), values[name].to_numpy(), left=begin, color=colour, height=0.72, label=name)
        begin = [left + more for left, more in zip(begin, values[name], strict=True)]
    at.set_yticks(range(len(values)), [label(name) for name in values.index])
    at.invert_yaxis()
    at.grid(visible=False, axis="y")
    at.grid(visible=True, axis="x")


def durations(at: "Axes", *, axis: str = "y") -> None:
    """Make an axis of seconds logarithmic, and mark it with the times that people speak of."""
    marks = {
        1: "1 s",
        10: "10 s",
        60: "1 min",
        600: "10 min",
        3600: "1 h",
        21_600: "6 h",
        _DAY: "1 day",
        7 * _DAY: "1 week",
    }
    each, scale = (at.yaxis, at.set_yscale) if axis == "y" else (at.xaxis, at.set_xscale)
    scale("log")
    each.set_major_locator(FixedLocator(list(marks)))
    each.set_major_formatter(FuncFormatter(lambda value, _: marks.get(round(value), "")))
    each.set_minor_locator(NullLocator())


def paired(at: "Axes", values: pd.DataFrame, parts: Mapping[str, str], form: Any = percent) -> None:
    """Draw two bars per row, the first row on top, each with its value; `parts` says what the columns are."""
    for place, ((name, words), colour) in enumerate(zip(parts.items(), (BLUE, ORANGE), strict=True)):
        rows = [row + 0.38 * place for row in range(len(values))]
        drawn = at.barh(rows, values[name].to_numpy(), color=colour, height=0.34, label=words)
        at.bar_label(drawn, [form(value) for value in values[name]], padding=4, color=INK, fontsize=9)
    at.set_yticks([row + 0.19 for row in range(len(values))], [label(name) for name in values.index])
    at.invert_yaxis()
    at.set_xticks([])
    at.grid(visible=False)
    at.spines["bottom"].set_visible(False)
    at.set_xlim(0, max(float(values.max().max()), 1e-9) * 1.12)
