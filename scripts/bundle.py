"""A wheel carries what `chatkit-neon demo` and `chatkit-neon migrate` need; app/shipped.py finds it there."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# Inside the package: a folder `alembic` beside it would stand in for the library of that name.
_BUNDLE = "app/bundled"
_WEBSITE = "website/build"
_WHAT = (
    "alembic.ini",
    "alembic",
    "docs/*.md",
    _WEBSITE,
    "auth-server/*.mjs",
    "auth-server/package.json",
    "auth-server/package-lock.json",
)


class PartMissing(Exception):
    """The tree is not whole."""


class Bundle(BuildHookInterface):  # type: ignore[type-arg]  # its parameter is for plugins of other builders
    """Adds the bundle to wheels. Neither a wheel nor a source archive is made without all of it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Say what belongs in the archive. Raises PartMissing."""
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / _WEBSITE / "index.html").is_file():
            raise PartMissing(f"The website is not built: {_WEBSITE} is missing. Run: make wheel")
        found = [(pattern, sorted(root.glob(pattern))) for pattern in _WHAT]
        for pattern, paths in found:
            if not paths:
                raise PartMissing(
                    f"{pattern} is missing: build in a whole checkout, or from a source archive."
                )
        if self.target_name == "wheel":
            names = [path.relative_to(root).as_posix() for _, paths in found for path in paths]
            build_data["force_include"] |= {name: f"{_BUNDLE}/{name}" for name in names}
