"""Node.js and npm, where they are new enough."""

import re
import shutil
import subprocess
from pathlib import Path

from app.demo.failure import AuthServerError
from app.shipped import IS_INSTALLED

AGAIN = "start the demo again" if IS_INSTALLED else "run: make setup"
_OLDEST = 20
_OUTPUT_LIMIT = 500


def node() -> str:
    """Return where Node.js is. Raises AuthServerError, also for one that is too old."""
    program = _program("node")
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603 - found on the PATH
    version = re.match(r"v(\d+)\.", said)
    if version is None or int(version[1]) < _OLDEST:
        raise AuthServerError(
            f"Node.js here is {said.strip() or 'broken'}. Install version {_OLDEST} or newer, then {AGAIN}"
        )
    return program


def install_packages(folder: Path) -> None:
    """Put what the lock file in `folder` names into its `node_modules`. Raises AuthServerError.

    Nothing that a package brings is run.
    """
    # Not `npm ci`; the Makefile says why. What npm has at hand is checked by the lock's hashes all the same.
    options = ["--no-save", "--omit=dev", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1"]
    quiet = ["--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"]
    done = subprocess.run(  # noqa: S603 - found on the PATH
        [_program("npm"), "install", *options, *quiet],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise AuthServerError(
            f"npm could not install the packages of the auth server; is there a network? {AGAIN.capitalize()}"
            f" when there is. npm said:\n{done.stdout.strip()[-_OUTPUT_LIMIT:]}"
        )


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        words = {"node": "Node.js is", "npm": "npm, which comes with Node.js, is"}[name]
        raise AuthServerError(f"{words} not here. Install Node.js {_OLDEST} or newer, then {AGAIN}")
    return found
