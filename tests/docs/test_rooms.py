"""The rooms of the tests: each test beside what it tests, and what several need in `tests/` itself."""

import re

from project import ROOT

TESTS = ROOT / "tests"


def rooms(folder: str) -> set[str]:
    """Return the folders in one, but for Python's own."""
    return {path.name for path in (ROOT / folder).iterdir() if path.is_dir()} - {"__pycache__"}


def test_every_test_stands_in_a_room() -> None:
    assert sorted(path.name for path in TESTS.glob("test_*.py")) == []


def test_the_rooms_of_the_tests_are_those_of_the_project() -> None:
    assert rooms("tests") == {"receiver", "pipelines", "devstack", "deploy", "docs", "data", "browser"}
    assert rooms("tests/pipelines") - rooms("pipelines") == set()


def test_no_test_module_imports_another() -> None:
    importing = re.compile(r"^\s*(?:from|import) (?:test_\w+|conftest)\b", re.MULTILINE)
    assert sorted(path.name for path in TESTS.rglob("*.py") if importing.search(path.read_text())) == []
