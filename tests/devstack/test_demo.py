"""What the demo tells while it works, and at its end: short, soon, and with the next step.

Belongs here: the words. Not: the demo on a real stack (test_up).
"""

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack import summary
from devstack.demo import Progress
from devstack.stack import Plan

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAN = Plan(Path.cwd() / ".wpp-lake-demo", dagster_port=3001)


def test_sending_is_told_every_two_seconds_and_at_its_end() -> None:
    told: list[str] = []
    times: Iterator[float] = iter([0.0, 1.0, 2.0, 3.0, 3.5])
    progress = Progress(4, told.append, lambda: next(times))
    for _ in range(4):
        progress.answered()
    assert told == ["  2 of 4 answered, 1 per second, about 2 s left", "  4 of 4 answered, 1 per second"]


@pytest.mark.parametrize("is_over", [False, True])
def test_the_next_steps_fit_80_columns(*, is_over: bool) -> None:
    assert max(map(len, summary.next_steps(PLAN, is_over=is_over))) <= 80


def test_a_stack_that_goes_on_is_looked_at_and_one_that_stops_is_started_again() -> None:
    on, over = ("\n".join(summary.next_steps(PLAN, is_over=is_over)) for is_over in (False, True))
    assert "The console: http://127.0.0.1:3001" in on
    assert "wpp-lake up" not in on
    assert "wpp-lake up --data-dir .wpp-lake-demo " in over
    for text in (on, over):
        assert re.findall(r"^  (?:wpp-lake (?!up)|eval)", text, re.MULTILINE) == [
            "  eval", "  wpp-lake ", "  wpp-lake ", "  wpp-lake "
        ]  # fmt: skip


def test_where_the_command_is_not_found_the_way_to_it_is_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    activate = shlex.quote(f"{sys.prefix}/bin/activate")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f"  . {activate}" in list(summary.next_steps(PLAN, is_over=False))
    (tmp_path / "wpp-lake").touch(mode=0o755)
    assert f"  . {activate}" not in list(summary.next_steps(PLAN, is_over=False))
