"""What the documents say to type is typed: each block that is marked as runnable, as it stands, on a real lake.

A comment before a block says what becomes of it: `runnable`, `run by TEST`, `not run: WHY`; `prints` stands before a
part of what the block before it prints. A page's blocks run in one folder, one after the other, as if typed into one
shell: what one exports, the next ones have.

Belongs here: finding the blocks, running them. Not: what needs a whole stack (test_first_event), such as Dagster.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from factories import line
from lake import connected, environment
from project import ROOT
from receiver_process import start_receiver
from servers import bucket, database

from pipelines.landing.hours import today
from pipelines.snapshots.payload_fields import write_catalogue
from pipelines.snapshots.write import write_snapshots

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from servers import S3

    from devstack.postgres import Postgres

PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"(?:<!-- ([^\n]+) -->\n\n)?^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SHOWN = ("text", "json", "mermaid")  # nobody types these
DAY = "2026-11-23"  # the date that the documents read


@dataclass(frozen=True)
class Block:
    """One block of a page: where it is, its mark, its lines, and what has to be among those that it prints."""

    page: str
    number: int
    mark: str
    language: str
    text: str
    prints: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.number}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield a page's blocks, but for those that are only shown."""
    text = page.read_text()
    found = list(BLOCK.finditer(text))
    for match, after in zip(found, [*found[1:], None], strict=False):
        mark, indent, language, lines = match.groups("")
        if language not in SHOWN:
            prints = after[4] if after and after[1] == "prints" else ""
            number = text.count("\n", 0, match.start(4))
            yield Block(
                str(page.relative_to(ROOT)), number, mark, language, re.sub(f"(?m)^{indent}", "", lines), prints
            )


EVERY = [block for page in PAGES for block in blocks(page)]
RUNNABLE = [block for block in EVERY if block.mark == "runnable"]


def test_every_block_is_run_or_says_why_not() -> None:
    assert [
        str(block) for block in EVERY if not re.fullmatch(r"runnable|run by tests/\S+|not run: \S.*", block.mark)
    ] == []


def test_what_runs_a_block_in_the_place_of_this_is_there() -> None:
    named = {path for block in EVERY for path in re.findall(r"tests/[\w/.]+", block.mark)}
    assert "tests/docs/test_first_event.py" in named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []


def test_the_documents_read_one_date() -> None:
    dates = {day for block in RUNNABLE for day in re.findall(r"date *(?:=+|\", \"==\",) *['\"]([\d-]+)", block.text)}
    assert dates == {DAY}


@pytest.fixture(scope="module")
def url(postgres_server: "Postgres", template_database: str) -> Iterator[str]:
    """Make the database of the lake that the pages read."""
    with database(postgres_server, template_database) as made:
        yield made


@pytest.fixture(scope="module")
def landing(s3_client: "S3Client") -> Iterator[str]:
    """Make its landing bucket."""
    with bucket(s3_client, "landing") as made:
        yield made


@pytest.fixture(scope="module")
def variables(url: str, landing: str, s3: "S3", s3_client: "S3Client") -> Iterator[dict[str, str]]:
    """Return the lake's settings, as `env` has them."""
    with bucket(s3_client, "snapshots") as snapshots:
        yield environment(url, s3, landing, snapshots)


@pytest.fixture(scope="module")
def lake(
    variables: dict[str, str], s3: "S3", s3_client: "S3Client", sample: list[dict[str, Any]]
) -> Iterator[dict[str, str]]:
    """Fill the lake with the sample's events, and run a receiver beside it; return its settings."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        fill(s3_client, sample)
    with start_receiver(s3, variables["LANDING_BUCKET"]) as receiver:
        yield variables | {"WPP_LAKE_RECEIVER_URL": receiver.url}


def fill(client: "S3Client", sample: list[dict[str, Any]]) -> None:
    """Land the sample on the date that the documents read, load it, and write the snapshots of then and now."""
    then = datetime.fromisoformat(f"{DAY}T12:00:00Z").astimezone(UTC)
    with connected(client) as lake:
        lake.land(*(line(each["body"].encode(), number, then) for number, each in enumerate(sample)), at=then)
        lake.load(then)
        for day in (then.date(), today()):
            list(write_snapshots(lake.settings, lake.snapshots, day))
            write_catalogue(lake.settings, lake.snapshots, day)


class Shell:
    """A shell in a folder of its own, beside a lake's `env`: what a block exports, the next ones have."""

    def __init__(self, folder: Path, lake: dict[str, str]) -> None:
        self._folder = folder
        (folder / ".wpp-lake").mkdir()
        (folder / ".wpp-lake" / "env").write_text("".join(f"{name}={value}\n" for name, value in lake.items()))
        (folder / "exported").touch()

    def run(self, block: Block) -> "subprocess.CompletedProcess[str]":
        """Run a block: lines of a shell in this one, Python in a fresh interpreter."""
        if block.language == "python":
            (self._folder / "block.py").write_text(block.text)
            script = ". ./exported; python block.py"
        else:
            script = f". ./exported\n{block.text}\nexport -p > exported"
        path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
        return subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", script], cwd=self._folder, capture_output=True, text=True,
            env={"PATH": path, "HOME": str(self._folder), "PYTHONPATH": str(ROOT)}, timeout=120, check=False,
        )  # fmt: skip


@pytest.mark.parametrize("page", dict.fromkeys(block.page for block in RUNNABLE))
def test_a_pages_blocks_run_as_they_stand(page: str, lake: dict[str, str], tmp_path: Path) -> None:
    shell = Shell(tmp_path, lake)
    for block in RUNNABLE:
        if block.page == page:
            done = shell.run(block)
            assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
            assert block.prints.strip() in done.stdout, f"{block}\n{done.stdout}"
