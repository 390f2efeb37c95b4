"""docs/privacy.md's answer to a request: its lines, as a person types them into one shell, on a real lake."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from erasing import PHONE, everything
from lake import Lake
from project import ROOT

from pipelines.redaction.erasures import ErasureList

BLOCK = re.compile(r"<!-- run by tests/docs/test_privacy_request.py -->\n\n *```bash\n *([^\n]+)\n *```")
TICKET = "LGPD-17"
END = "-- end of the block --"


@contextmanager
def shell(folder: Path) -> Iterator[Callable[..., str]]:
    """Run a shell in a folder of its own; yield what types lines into it, and returns what they print.

    A line that fails ends it, and the test.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])
    with subprocess.Popen(
        ["/bin/bash", "-eu"], cwd=folder, env=os.environ | {"PATH": path, "HOME": str(folder), "USER": "ana"},
        text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as process:  # fmt: skip
        assert process.stdin
        assert process.stdout
        typed, shown = process.stdin, process.stdout

        def type_in(*lines: str) -> str:
            typed.write("".join(f"{line}\n" for line in (*lines, f"echo '{END}'")))
            typed.flush()
            printed = ""
            for line in shown:
                if line.strip() == END:
                    return printed
                printed += line
            raise AssertionError(printed)

        yield type_in
        typed.close()
        assert process.wait() == 0


def test_a_request_is_answered_by_the_commands_of_the_page(filled: Lake, tmp_path: Path) -> None:
    asked, plan, apply, which, verify, sweep, export = BLOCK.findall((ROOT / "docs" / "privacy.md").read_text())
    assert {line.split('"')[0].strip() for line in (plan, apply, verify, sweep, export)} == {
        "wpp-lake erase plan", "wpp-lake erase apply", "wpp-lake erase verify", "wpp-lake erase sweep",
        "wpp-lake export",
    }  # fmt: skip
    with shell(tmp_path) as typed:
        typed(asked, PHONE, TICKET)
        typed(export)
        assert PHONE in (tmp_path / f"{TICKET}.md").read_text()
        assert re.search(r"^landing zone +[1-9]", typed(plan), re.MULTILINE)
        assert PHONE in everything(filled)
        [erasure] = re.findall(r"^erasure (\S+), on LGPD-17$", typed(apply), re.MULTILINE)
        assert PHONE not in everything(filled)
        typed(which, erasure)
        assert "\n0 matches" in typed(verify)
        assert typed(sweep)
    proof = json.loads(ErasureList(filled.zone).get_object(f"erasures/{erasure}/proof.json"))
    assert proof["matches"] == 0
    assert filled.rows("select by, reference from access_log") == [("ana", TICKET)]


def test_both_languages_have_the_same_commands() -> None:
    pages = [(ROOT / "docs" / page).read_text() for page in ("privacy.md", "privacy.pt-BR.md")]
    english, portuguese = map(BLOCK.findall, pages)
    assert english == portuguese
