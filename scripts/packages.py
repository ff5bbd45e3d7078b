"""Installs the packages of package-lock.json into node_modules, if they are missing: python -m scripts.packages

The published pages need no Node: the tests of the built book use the packages, and rendering copies files from them.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "node_modules"
# Without a network npm would retry for more than a minute at every build; two retries cover short failures.
RETRIES = ("--fetch-retries=2", "--fetch-retry-mintimeout=1000", "--fetch-retry-maxtimeout=4000")


class PackagesError(RuntimeError):
    """The packages are missing and could not be installed; the message says what to do."""


def complete() -> bool:
    """Whether every package of package-lock.json is installed in its version."""
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    for path, package in lock["packages"].items():
        try:
            there = json.loads((ROOT / path / "package.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        if path and there["version"] != package["version"]:
            return False
    return True


def install() -> Path:
    """Install the packages of package-lock.json, verified by npm, and return their folder.

    Raises:
        PackagesError: npm is missing, or could not install them.
    """
    if complete():
        return FOLDER
    npm = shutil.which("npm")
    if npm is None:
        raise PackagesError("npm was not found: install it (Debian and Ubuntu: sudo apt-get install nodejs npm).")
    try:
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--prefer-offline", "--no-progress", *RETRIES],
            cwd=ROOT,
            timeout=300,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        code, said = done.returncode, done.stdout.strip()
    except subprocess.TimeoutExpired:
        code, said = 1, "no answer within five minutes"
    if code:
        last = "\n".join(said.splitlines()[-4:])
        raise PackagesError(
            f"npm ci could not install the packages of package-lock.json (is there a network?):\n{last}"
        )
    return FOLDER


if __name__ == "__main__":
    try:
        print(f"The packages are in {install()}")
    except PackagesError as error:
        sys.exit(f"packages: {error}")
