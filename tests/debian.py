"""Debian's packages, for tests of what runs on a server: installed or fetched where root may, else said to be missing.

Belongs here: having a program of Debian's. Not: what is done with it.
"""

import os
import shutil
import subprocess
from pathlib import Path

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


def program(name: str, package: str) -> str:
    """Return a program's path, after its package was installed where it isn't there. Fails where that can't be."""
    if found := shutil.which(name, path=PATH):
        return found
    _apt_get(name, package, "install", "--yes", "--no-install-recommends", package)
    return program(name, package)


def program_alone(name: str, package: str, folder: Path) -> str:
    """Return a program's path, taken out of its package where it isn't there: installed, that would run a service."""
    if found := shutil.which(name, path=PATH):
        return found
    _apt_get(name, package, "download", package, folder=folder)
    [archive] = folder.glob(f"{package}_*.deb")
    subprocess.run(["/usr/bin/dpkg-deb", "--extract", archive, folder], check=True)
    return str(folder / "usr" / "bin" / name)


def _apt_get(name: str, package: str, *words: str, folder: Path | None = None) -> None:
    """Have apt-get do something about a package, in a folder, with lists that are new."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LookupError(f"{name} isn't there: install Debian's {package}, or run this as root, which installs it")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for each in (("update",), words):
        subprocess.run(["apt-get", "--quiet", *each], cwd=folder, env=environment, check=True, capture_output=True)  # noqa: S607  (Debian's own)
