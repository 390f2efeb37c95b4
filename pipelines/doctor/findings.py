"""The finding of a check of the doctor, and running the checks one after the other.

Belongs here: levels, and that a check which fails stops no other. Not: what is checked.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

Level = Literal["ok", "note", "failure"]


class Finding(NamedTuple):
    """One thing that was looked at: a note is worth knowing, a failure is to be mended, as its remedy says.

    No text holds a secret, or a part of one.
    """

    check: str
    level: Level
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        told = f"{self.level.upper() if self.level == 'failure' else self.level:<8} {self.check:<26} {self.found}"
        return " ".join(f"{told}. {self.remedy}".splitlines()) if self.remedy else " ".join(told.splitlines())


Check = Callable[[], Iterable[Finding]]


def ok(check: str, found: str) -> Finding:
    """Return a finding of what is well."""
    return Finding(check, "ok", found)


def note(check: str, found: str, remedy: str = "") -> Finding:
    """Return a finding that is worth knowing, and no failure."""
    return Finding(check, "note", found, remedy)


def failure(check: str, found: str, remedy: str) -> Finding:
    """Return a finding that is to be mended."""
    return Finding(check, "failure", found, remedy)


def examine(checks: Mapping[str, Check]) -> Iterator[Finding]:
    """Run the checks, and yield what they find; one that raises is a failure itself, and the others still run."""
    for name, check in checks.items():
        try:
            yield from check()
        except Exception as error:  # noqa: BLE001  whatever it is, it is what was found
            reason = str(error).strip().partition("\n")[0]
            yield failure(name, f"{type(error).__name__}: {reason}", f"See that it can be asked: {name}")
