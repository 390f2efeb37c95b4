"""README's first event: its lines, as a person pastes them into a shell, beside a running `up`."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from debian import program
from project import ROOT
from stack_process import running


@pytest.mark.server
def test_the_lines_of_the_readme_send_an_event_and_find_it(tmp_path: Path) -> None:
    """Both ways: with the command, and with what any machine has."""
    section = (ROOT / "README.md").read_text().split("## Send your first event")[1].split("\n## ")[0]
    by_command, by_hand = re.findall(r"```bash\n(.*?)```", section, re.DOTALL)
    [printed] = re.findall(r"<!-- prints -->\n\n```text\n(.*?)\n```", section, re.DOTALL)
    folders = {str(Path(program(name, name)).parent) for name in ("openssl", "curl")}
    path = os.pathsep.join([str(Path(sys.executable).parent), *sorted(folders), "/usr/bin", "/bin"])
    with running("up", tmp_path / ".wpp-lake", "--no-dagster") as up:
        up.line("READY")

        def pasted(lines: str) -> str:
            return subprocess.check_output(
                ["/bin/bash", "-euo", "pipefail", "-c", lines],
                cwd=tmp_path, env={"PATH": path, "HOME": str(tmp_path)}, text=True, timeout=120,
            )  # fmt: skip

        shown = pasted(by_command)
        assert "sent 1: 1 accepted" in shown
        assert "1 files, 1 lines: 1 loaded" in shown
        assert printed in shown
        assert '"status":"accepted"' in pasted(by_hand).replace(" ", "")
