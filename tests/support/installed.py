"""The wheel of this tree, installed where nothing of the checkout can be read."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import ROOT

LIBRARIES = Path(sysconfig.get_path("purelib"))


def build(target: str, folder: Path, *, root: Path = ROOT) -> Path:
    """Build a `wheel` or an `sdist` of a tree into a folder and return the file."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 0, done.stderr
    [built] = folder.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return built


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheel, and this one's libraries without the project.

    Its Python refuses to read the checkout: see tests/support/refusal.py.
    """

    folder: Path
    wheel: Path

    @property
    def bin(self) -> Path:
        """The folder of its commands: `chatkit-neon`, `python` and `pip`."""
        return self.folder / "venv" / "bin"

    def environment(self, **variables: str) -> dict[str, str]:
        """Return what processes in it see: of Python's own settings nothing, its commands first."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        return kept | {
            "PATH": f"{self.bin}{os.pathsep}{kept['PATH']}",
            # What is declared has to be here, and is not fetched.
            "PIP_NO_INDEX": "1",
            "PYTHONUNBUFFERED": "1",
            "REFUSAL_CHECKOUT": str(ROOT),
            "REFUSAL_LIBRARIES": str(LIBRARIES),
            "REFUSAL_NOTES": str(self._notes),
            **variables,
        }

    @property
    def _notes(self) -> Path:
        return self.folder / "refused"

    def refused(self) -> list[str]:
        """Return what its processes tried to read of the checkout since this was asked last."""
        found = self._notes.read_text().splitlines() if self._notes.exists() else []
        self._notes.unlink(missing_ok=True)
        return found

    def files(self) -> dict[str, tuple[int, int]]:
        """Return every file and folder of it, with size and time: equal if nothing was written."""
        found = (self.folder / "venv").rglob("*")
        return {str(path): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in found}

    def run(self, *command: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end; its output holds its errors too."""
        return subprocess.run(  # noqa: S603 - what the test gives
            [str(self.bin / command[0]), *command[1:]],
            cwd=cwd,
            env=self.environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )


def install(wheel: Path, folder: Path) -> Installation:
    """Make an environment in a folder and install the wheel as anybody would."""
    made = Installation(folder, wheel)
    venv.create(folder / "venv", symlinks=True)
    pip = made.bin / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip --python "{made.bin}/python" "$@"\n')
    pip.chmod(0o755)
    done = made.run("pip", "install", "--quiet", "--no-deps", str(wheel), cwd=folder)
    assert done.returncode == 0, done.stdout
    # Later than that: it is not to find the project that is installed for this process, and replace it.
    [site] = (folder / "venv").glob("lib/python*/site-packages")
    shutil.copyfile(Path(__file__).with_name("refusal.py"), site / "refusal.py")
    (site / "refusal.pth").write_text("import sys; import refusal; sys.addaudithook(refusal.refuse)\n")
    (site / "libraries.pth").write_text(f"{LIBRARIES}\n")
    return made
