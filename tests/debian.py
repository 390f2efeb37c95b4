"""Debian's packages, for tests of what runs on a server: installed where root may, else said to be missing.

Belongs here: having a program of Debian's. Not: what is done with it.
"""

import os
import shutil
import subprocess


def program(name: str, package: str) -> str:
    """Return a program's path, after its package was installed where it isn't there. Fails where that can't be."""
    if found := shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin"):
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise LookupError(f"{name} isn't there: install Debian's {package}, or run this as root, which installs it")
    for words in (["update"], ["install", "--yes", "--no-install-recommends", package]):
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "--quiet", *words], env=environment, check=True, capture_output=True)  # noqa: S607  (Debian's own)
    return program(name, package)
