"""The auth server's code with its packages: the checkout's, or a copy beside an installation's data."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from app.demo.node import install_packages, node
from app.shipped import IS_INSTALLED, shipped

_MARK = ".installed"


def auth_server_folder(data: Path, tell: Callable[[str], None]) -> Path:
    """Return a folder in which Node.js can run the auth server, below `data` if this is no checkout.

    There the packages are installed, once and whenever a release has others; `tell` hears of it first.
    One process at a time may do that with the same `data`. Raises AuthServerError.
    """
    source = shipped("auth-server")
    if not IS_INSTALLED:
        return source
    node()
    folder = data / "auth-server"
    folder.mkdir(exist_ok=True)
    for file in source.iterdir():
        # Not the rights: an installation may be read-only, and the next release writes here.
        shutil.copyfile(file, folder / file.name)
    _install(folder, tell)
    return folder


def _install(folder: Path, tell: Callable[[str], None]) -> None:
    packages = folder / "node_modules"
    digest = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    mark = packages / _MARK
    if mark.is_file() and mark.read_text() == digest:
        return
    tell("Installing the packages of the accounts' server with npm; only the first start does that.")
    # Another release's, or those of an installation that was broken off.
    shutil.rmtree(packages, ignore_errors=True)
    install_packages(folder)
    mark.write_text(digest)
