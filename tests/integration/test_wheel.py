"""What is built and installed: whole, without the checkout, and alone enough to run everything."""

import asyncio
import signal
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes
from pathlib import Path

import httpx
import pytest
from packaging.requirements import Requirement

from tests.support.installed import Installation, build
from tests.support.ports import free_port
from tests.support.processes import ROOT, until_ready
from tests.support.server import Chat

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# What hatchling needs of a tree to build it.
TREE = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "scripts/bundle.py",
    "app/__init__.py",
    "migrations_data/__init__.py",
)


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def test_the_wheel_holds_what_it_runs_and_nothing_beside_its_packages(installation: Installation) -> None:
    names = set(contents(installation.wheel))
    for folder, pattern in [("docs", "*.md"), ("alembic", "**/*.py"), ("auth-server", "*.mjs")]:
        shipped = {f"app/bundled/{path.relative_to(ROOT)}" for path in (ROOT / folder).glob(pattern)}
        assert shipped
        assert shipped <= names
    assert {"app/bundled/website/build/index.html", "app/bundled/auth-server/package-lock.json"} <= names
    # A folder `alembic` at its top would hide the library, one of samples is the tests'.
    assert {name.split("/")[0] for name in names} == {
        "app",
        "migrations_data",
        "chatkit_neon-0.1.0.dist-info",
    }
    unwanted = ("node_modules", "__pycache__", "samples", "/tests/", ".env")
    assert [name for name in names if any(part in name for part in unwanted)] == []


def test_the_wheel_requires_what_the_project_does(installation: Installation) -> None:
    [metadata] = [
        content for name, content in contents(installation.wheel).items() if name.endswith("/METADATA")
    ]
    required = [Requirement(text) for text in message_from_bytes(metadata).get_all("Requires-Dist", [])]
    declared = PYPROJECT["project"]["dependencies"]
    assert {r for r in required if "extra" not in str(r.marker)} == {Requirement(text) for text in declared}
    # All of them are here, in these versions; nothing is fetched.
    assert installation.run("pip", "check", cwd=installation.folder).returncode == 0


def test_a_source_archive_makes_the_same_wheel(installation: Installation, tmp_path: Path) -> None:
    """Also where there is no Node.js: it holds the built website."""
    with tarfile.open(build("sdist", tmp_path)) as archive:
        archive.extractall(tmp_path, filter="data")
    [tree] = [path for path in tmp_path.iterdir() if path.is_dir()]
    again = build("wheel", tmp_path / "again", root=tree)
    assert contents(again) == contents(installation.wheel)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Return a tree whose website was not built."""
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_nothing_is_built_without_the_website(tree: Path, target: str) -> None:
    with pytest.raises(AssertionError, match=r"The website is not built.* Run: make wheel"):
        build(target, tree / "dist", root=tree)


def test_nothing_is_built_of_half_a_tree(tree: Path) -> None:
    (tree / "website" / "build").mkdir(parents=True)
    (tree / "website" / "build" / "index.html").touch()
    with pytest.raises(AssertionError, match=r"alembic\.ini is missing"):
        build("wheel", tree / "dist", root=tree)


def test_a_checkout_is_installed_without_the_website(tree: Path) -> None:
    code = "import hatchling.build; print(hatchling.build.build_editable('.'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tree, capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert (tree / done.stdout.strip()).exists()


def test_the_installation_cannot_read_the_checkout(installation: Installation, tmp_path: Path) -> None:
    """Without this the others would prove nothing."""
    code = "import app, pathlib; print(app.__file__); pathlib.Path({!r}).read_text()"
    done = installation.run("python", "-c", code.format(str(ROOT / "pyproject.toml")), cwd=tmp_path)
    assert done.stdout.startswith(str(installation.folder))
    assert "PermissionError" in done.stdout
    assert installation.refused() == [f"open '{ROOT / 'pyproject.toml'}'"]


@asynccontextmanager
async def demo_in(installation: Installation, folder: Path) -> AsyncIterator[tuple[str, Path]]:
    """Run the demo in a folder; yield its address and what it says. Told to stop, it has to."""
    port, said = free_port(), folder.parent / "said"
    with said.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(installation.bin / "chatkit-neon", "demo", "--port", str(port)),
            cwd=folder,
            env=installation.environment(CHAT_RESPONDER="offline"),
            stdout=log,
            stderr=log,
        )
    try:
        await until_ready(f"http://127.0.0.1:{port}", process)
        yield f"http://127.0.0.1:{port}", said
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 30) in (0, -signal.SIGTERM)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_the_demo_runs_from_the_wheel_alone_in_an_empty_folder(
    installation: Installation, tmp_path: Path
) -> None:
    folder, before = tmp_path / "empty", installation.files()
    folder.mkdir()
    async with (
        demo_in(installation, folder) as (url, said),
        httpx.AsyncClient(base_url=url, timeout=60) as http,
    ):
        page = await http.get("/")
        assert "<title" in page.text
        assert page.headers["content-type"].startswith("text/html")

        token = (await http.post("/demo/sign-in", json={"user": "alice"})).json()["token"]
        alice = Chat(
            httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        )
        thread_id = await alice.create("How many connections does the pool open?")
        answer = (await alice.items(thread_id))[-1]["content"][0]
        await alice.http.aclose()
        assert "CHAT_POOL_MAX_SIZE" in answer["text"]
        cited = answer["annotations"][0]["source"]["url"]
        assert cited.startswith("/docs/")
        assert (await http.get(cited)).status_code == 200

        account = {"email": "somebody@example.com", "password": "correct horse battery", "name": "Somebody"}
        made = await http.post("/api/auth/sign-up/email", json=account, headers={"Origin": url})
        assert made.status_code == 200, said.read_text()
    async with (
        demo_in(installation, folder) as (url, said),
        httpx.AsyncClient(base_url=url, timeout=60) as http,
    ):
        token = (await http.post("/demo/sign-in", json={"user": "alice"})).json()["token"]
        http.headers["Authorization"] = f"Bearer {token}"
        assert [thread["id"] for thread in await Chat(http).threads()] == [thread_id]
        assert "Installing" not in said.read_text()
    assert [path.name for path in folder.iterdir()] == [".data"]
    assert installation.files() == before, "something was written where the wheel is installed"
    assert installation.refused() == []


async def test_processes_of_a_server_are_ours_in_a_folder_with_another_app(
    installation: Installation, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").write_text("raise SystemExit('not ours')")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(installation.bin / "chatkit-neon", "serve", "--workers", "2", "--port", str(port)),
        cwd=tmp_path,
        env=installation.environment(DATABASE_URL=database_url),
        stderr=subprocess.DEVNULL,
    )
    try:
        await until_ready(f"http://127.0.0.1:{port}", process)
    finally:
        process.terminate()
        await process.wait()


def test_without_npm_the_demo_says_what_to_install_and_goes_on(
    installation: Installation, tmp_path: Path
) -> None:
    """What it goes on with is the demo without accounts, which needs no other test."""
    code = (
        "from pathlib import Path; from app.demo.auth_packages import auth_server_folder;"
        "auth_server_folder(Path('.'), print)"
    )
    done = installation.run("python", "-c", code, cwd=tmp_path, PATH=str(tmp_path))
    assert "Node.js is not here. Install Node.js 20 or newer, then start the demo again" in done.stdout
    old = tmp_path / "node"
    old.write_text("#!/bin/sh\necho v18.19.0\n")
    old.chmod(0o755)
    done = installation.run("python", "-c", code, cwd=tmp_path, PATH=str(tmp_path))
    assert "Node.js here is v18.19.0. Install version 20 or newer" in done.stdout
    assert list(tmp_path.iterdir()) == [old]
