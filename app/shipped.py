"""What ships beside the code: migrations, the website, documents, the auth server.

In a checkout they are at its top; an installed wheel has them inside the package (scripts/bundle.py).
"""

from pathlib import Path

_PACKAGE = Path(__file__).parent
_BUNDLE = _PACKAGE / "bundled"

IS_INSTALLED = _BUNDLE.is_dir()
"""Whether this code came as a wheel; its folder may be read-only then, and nobody runs make in it."""


def shipped(name: str) -> Path:
    """Return where a file or folder of the project is, by its path in a checkout; it may be missing."""
    return (_BUNDLE if IS_INSTALLED else _PACKAGE.parent) / name
