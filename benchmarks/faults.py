"""The small faults that mutation testing puts into the code, one at a time.

Belongs here: which faults there are, and which of them mean anything. Not: running tests on them (mutants), nor those
that may stay unnoticed (survivors.toml).
"""

import difflib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.ast.ast_query import ASTQuery
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# Of all that an operator can become its opposite and its neighbour: the same tests notice the others.
BECOMES = (
    "Eq_NotEq", "NotEq_Eq", "Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt", "Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt", "Is_IsNot",
    "IsNot_Is", "Add_Sub", "Sub_Add", "Mul_FloorDiv", "Div_Mul", "FloorDiv_Mul", "Mod_Mul", "Pow_Mul", "RShift_LShift",
    "LShift_RShift", "BitOr_BitAnd", "BitAnd_BitOr",
)  # fmt: skip
REPLACES = re.compile("Replace(Comparison|Binary)Operator")
PROSE = re.compile(r"\w[,;:]? \w")  # a text with words is for people: a code, a key or a path has none
CACHES = ("@cache", "@lru_cache")  # without them everything is as it was, but slower


class TextReplacer:
    """An operator beside Cosmic Ray's own: a text that the code goes by becomes another one."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Any, Any]]:
        """Yield where a node is such a text: no docstring, and nothing with words in it."""
        if (
            node.type == "string"
            and node.parent.type not in {"simple_stmt", "strings"}
            and not PROSE.search(node.value)
        ):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, _index: int) -> Any:
        """Put a character before the text."""
        prefix, quote, rest = re.split(r"([\"'])", node.value, maxsplit=1)
        node.value = f"{prefix}{quote}~{rest}"
        return node


class Fault(NamedTuple):
    """One fault: the place of it, among all where its operator can make one in a module, and the function there."""

    module: str
    operator: str
    occurrence: int
    function: str

    def change(self, source: str) -> tuple[str, str]:
        """Return the lines of a source that it changes and what they become, both without their indentation."""
        after = mutate_code(source, operator(self.operator), self.occurrence) or source
        changed = list(difflib.unified_diff(source.splitlines(), after.splitlines(), n=0, lineterm=""))[3:]
        was, becomes = ("\n".join(line[1:].strip() for line in changed if line[0] == sign) for sign in "-+")
        return was, becomes


@cache
def operator(name: str) -> Any:
    """Return what makes a kind of faults."""
    return TextReplacer() if name == "text" else get_operator(name)()


def faults(root: Path, folder: str) -> Iterator[Fault]:
    """Yield every fault that means anything, of a folder's modules."""
    names = [name for name in operator_names() if not get_operator(name).arguments()]
    names = [name for name in names if not REPLACES.search(name) or name.endswith(BECOMES)]
    for path in sorted((root / folder).glob("*.py")):
        nodes = list(ast_nodes(get_ast(path.read_text())))
        for name in (*names, "text"):
            places = (node for node in nodes for _ in operator(name).mutation_positions(node))
            for occurrence, node in enumerate(places):
                if _means_anything(node):
                    function = ASTQuery(node).get_definition_name() or ""
                    yield Fault(str(path.relative_to(root)), name, occurrence, function)


def _means_anything(node: Any) -> bool:
    """Tell whether a fault here can be noticed: not in `X | None`, a cache's size or what is logged."""
    if getattr(node, "value", "") == "|" and any(each.type == "keyword" for each in node.parent.children):
        return False
    while node.parent:
        code = node.get_code(include_prefix=False) if node.type in {"decorator", "atom_expr"} else ""
        if code.startswith((*CACHES, "_log.")):
            return False
        node = node.parent
    return True
