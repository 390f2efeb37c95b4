"""The systemd units of `deploy/`: systemd knows every word of them, and finds little that they leave open.

Checked by systemd-analyze in a tree that looks like a server's. That the processes do their work in this sandbox was
tried on Debian 13, by docs/deploy.md; no test does it, because only a running systemd could.
"""

import re
import shutil
import subprocess
from pathlib import Path

import debian
import pytest
from project import ROOT

pytestmark = pytest.mark.server

DEPLOY = ROOT / "deploy"
UNITS = sorted(path.name for path in (DEPLOY / "systemd").glob("*.service"))
# Debian 13's, from its backports, as far as it matters here.
CADDY = """
[Unit]
Description=Caddy
[Service]
Type=notify
User=caddy
Group=caddy
ExecStart=/usr/bin/caddy run --environ --config /etc/caddy/Caddyfile
ExecReload=/usr/bin/caddy reload --config /etc/caddy/Caddyfile --force
TimeoutStopSec=5s
LimitNOFILE=1048576
PrivateTmp=true
ProtectSystem=full
AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BIND_SERVICE
"""
COMMAND = re.compile(r"^Exec\w+=(/\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the tree: systemd's own units, ours, and an empty program for each that they start."""
    debian.program("systemd-analyze", "systemd")
    root = tmp_path_factory.mktemp("server")
    own = root / "usr/lib/systemd/system"
    shutil.copytree("/usr/lib/systemd/system", own, symlinks=True)
    (own / "caddy.service").write_text(CADDY)
    shutil.copytree(DEPLOY / "systemd", root / "etc/systemd/system")
    for text in [path.read_text() for path in (root / "etc/systemd/system").rglob("*.*") if path.is_file()] + [CADDY]:
        for command in COMMAND.findall(text):
            program = root / command.lstrip("/")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.touch(mode=0o755)
    return root


def analyze(server: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze on the tree."""
    command = ["/usr/bin/systemd-analyze", words[0], f"--root={server}", *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("unit", [*UNITS, "caddy.service"])
def test_systemd_knows_every_word(server: Path, unit: str) -> None:
    """It ignores one that it doesn't know, which would leave a door open in silence."""
    found = analyze(server, "verify", unit)
    about_ours = [line for line in found.stderr.splitlines() if re.search(r"wpp-lake|caddy", line)]
    assert (about_ours, found.returncode) == ([], 0)


@pytest.mark.parametrize(("unit", "most"), [*[(unit, 15) for unit in UNITS], ("caddy.service", 20)])
def test_exposure_is_small(server: Path, unit: str, most: int) -> None:
    """Of 100, which a unit without any of this is near to; what remains is mostly the network."""
    assert analyze(server, "security", "--offline=true", f"--threshold={most}", unit).returncode == 0


def test_a_misspelt_word_would_be_found(server: Path) -> None:
    """The check of these tests can fail."""
    unit = server / "etc/systemd/system/wpp-lake-misspelt.service"
    unit.write_text("[Service]\nExecStart=/usr/bin/caddy\nProtectSystm=strict\n")
    assert "ProtectSystm" in analyze(server, "verify", unit.name).stderr
    unit.unlink()
