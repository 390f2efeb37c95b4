"""The rules of `deploy/prometheus`, read: each alert, the metrics that its expression asks for, and where it leads.

Belongs here: reading them without promtool. Not: what is expected of them.
"""

import re
from typing import NamedTuple

import yaml  # type: ignore[import-untyped]  # it ships no types
from project import ROOT

FOLDER = ROOT / "deploy" / "prometheus"
RULES = FOLDER / "wpp-lake.rules.yaml"
# What of an expression is no name of a metric: texts, labels, durations, words of the language.
NO_NAME = re.compile(r'"[^"]*"|\{[^}]*\}|\[\w+\]|\boffset \w+|\b(?:by|on) ?\([^)]*\)|\b(?:or|and|unless)\b')


class Alert(NamedTuple):
    """One alert, as the file has it."""

    name: str
    expr: str
    waits: str
    labels: dict[str, str]
    annotations: dict[str, str]

    @property
    def metrics(self) -> set[str]:
        """The names of the metrics in its expression: words that call nothing."""
        return set(re.findall(r"\b[a-zA-Z_:][\w:]*\b(?!\s*\()", NO_NAME.sub(" ", self.expr)))

    @property
    def matchers(self) -> set[tuple[str, str]]:
        """The labels that its expression asks for, each with one of the values."""
        found = re.findall(r'(\w+)(?:!?=|[=!]~)"([^"]*)"', self.expr)
        return {(label, value) for label, values in found for value in values.split("|")}


def alerts() -> list[Alert]:
    """Return every alert; a rule that is none, or that lacks a part, fails."""
    rules = [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    parts = ("alert", "expr", "for", "labels", "annotations")
    return [Alert(*(rule[part] for part in parts)) for rule in rules]


def anchor(heading: str) -> str:
    """Return the fragment by which a heading is reached, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
