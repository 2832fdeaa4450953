"""What pyproject.toml asks for is bounded, and says why; what it does not ask for is not used."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)["project"]
SERVER = PROJECT["dependencies"]
DEV = PROJECT["optional-dependencies"]["dev"]
SHIPPED = ("app", "alembic", "migrations_data")
OWN = {"app", "migrations_data"}
# They come with what is named beside them, which pins them exactly.
COMES_WITH = {canonicalize_name("pydantic-core"): canonicalize_name("pydantic")}


@pytest.mark.parametrize("text", [*SERVER, *DEV])
def test_each_requirement_has_bounds_on_both_sides(text: str) -> None:
    operators = {specifier.operator for specifier in Requirement(text).specifier}
    assert operators in ({"=="}, {">=", "<"})


def test_each_requirement_stands_under_a_reason() -> None:
    lines = TEXT.splitlines()
    for text in (*SERVER, *DEV):
        (at,) = [number for number, line in enumerate(lines) if line.startswith(f'  "{text}",')]
        above = at
        while lines[above].startswith('  "'):
            above -= 1
        assert lines[above].startswith("  # ") or " # " in lines[at], text


def imported(folder: Path) -> set[str]:
    """Return the top-level names that a folder's code imports."""
    found: set[str] = set()
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - OWN


def test_what_the_code_imports_is_asked_for() -> None:
    asked = {canonicalize_name(Requirement(text).name) for text in SERVER}
    providers = packages_distributions()
    for name in set().union(*(imported(ROOT / folder) for folder in SHIPPED)):
        packages = {canonicalize_name(package) for package in providers[name]}
        packages = {COMES_WITH.get(package, package) for package in packages}
        # Several packages share a name like `opentelemetry` or `google`.
        assert packages & asked, name


def test_what_is_asked_for_is_used() -> None:
    words = set(
        re.findall(r"\w+", "\n".join(file.read_text() for f in SHIPPED for file in (ROOT / f).rglob("*.py")))
    )
    providers: dict[str, set[str]] = {}
    for module, packages in packages_distributions().items():
        for package in packages:
            providers.setdefault(canonicalize_name(package), set()).add(module)
    # FastAPI reads forms with it.
    used_by_others = {"python-multipart"}
    for text in SERVER:
        name = canonicalize_name(Requirement(text).name)
        assert name in used_by_others or providers[name] & words, name
