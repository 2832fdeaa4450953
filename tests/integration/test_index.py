"""The offline index: made whole or not at all, beside servers that read it."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from app.cli import main
from app.retrieval.documents import UnreadableDocuments
from app.retrieval.index import IndexUnusable, read_index
from app.retrieval.indexing import index_documents
from app.retrieval.local import LocalRetriever

ROOT = Path(__file__).parents[2]


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Return a folder with two pages."""
    folder = tmp_path / "docs"
    folder.mkdir()
    write(folder, "cats", "Cats purr when they are content, and sleep for most of the day.")
    write(folder, "dogs", "Dogs bark at strangers. They need a walk in the morning.")
    return folder


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.md").write_text(f"---\ntitle: On {name}\n---\n{text}\n", encoding="utf-8")


def index(docs: Path, folder: Path) -> bool:
    return index_documents(docs, folder, published_at="/docs").is_new


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_command_says_what_it_did_and_does_it_once(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "made" / "index"
    monkeypatch.setenv("CHAT_INDEX", str(folder))
    assert main(["index", "--docs", str(docs)]) == 0
    assert "Indexed 2 passages of 2 pages" in capsys.readouterr().out
    before = contents(folder)
    assert main(["index", "--docs", str(docs)]) == 0
    assert "is up to date" in capsys.readouterr().out
    assert contents(folder) == before

    write(docs, "dogs", "Dogs bark.")
    assert main(["index", "--docs", str(docs), "--published-at", "/help"]) == 0
    assert "Indexed" in capsys.readouterr().out
    assert [chunk.url for chunk in read_index(folder).chunks] == ["/help/cats", "/help/dogs"]
    assert len([path for path in folder.iterdir() if path.is_dir()]) == 1


def test_the_command_says_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CHAT_INDEX", str(tmp_path / "index"))
    assert main(["index", "--docs", str(tmp_path)]) == 1
    assert "holds no Markdown pages" in capsys.readouterr().err
    monkeypatch.setattr("app.commands.index.own_documents", lambda: None)
    assert main(["index"]) == 2
    assert "--docs" in capsys.readouterr().err
    assert not (tmp_path / "index").exists()


def test_a_folder_that_holds_something_else_is_left_alone(docs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "meta.json").write_text("{}")
    with pytest.raises(IndexUnusable, match="a folder of its own"):
        index(docs, folder)
    assert contents(folder) == {"meta.json": b"{}"}


def test_an_index_that_is_broken_is_said_to_be_and_made_anew(docs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    index(docs, folder)
    [stored] = folder.rglob("storage.sqlite")
    stored.write_bytes(b"not a database")
    with pytest.raises(IndexUnusable, match="run `chatkit-neon index`"):
        read_index(folder)
    assert index(docs, folder)
    assert len(read_index(folder).chunks) == 2

    (folder / "current").write_text("../elsewhere")
    with pytest.raises(IndexUnusable):
        read_index(folder)
    with pytest.raises(IndexUnusable, match="holds no index"):
        read_index(tmp_path / "nowhere")


def test_a_run_that_is_killed_leaves_the_old_index_in_force(docs: Path, tmp_path: Path) -> None:
    """Killed at many moments; the last run finds a folder that it can go on with, and clears it up."""
    folder = tmp_path / "index"
    index(docs, folder)
    for number in range(200):
        write(docs, f"page{number}", f"Page {number} is about the number {number}. " * 20)
    killed = 0
    for step in range(6):
        name = read_index(folder).name
        with run(docs, folder) as process:
            # It has printed that its imports are done; what follows takes about a second.
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(step * 0.15)  # Where it is hit differs; what has to hold does not.
            process.send_signal(signal.SIGKILL)
            process.wait()
        if read_index(folder).name == name:
            killed += 1
        else:
            write(docs, "more", f"Another page, number {step}.")
    assert killed
    index(docs, folder)
    assert len(read_index(folder).chunks) >= 202
    assert {path.name for path in folder.iterdir()} == {"current", "lock", read_index(folder).name}


def run(docs: Path, folder: Path) -> subprocess.Popen[str]:
    code = (
        "import sys; from pathlib import Path; from app.retrieval.indexing import index_documents;"
        "print('ready', flush=True);"
        "index_documents(Path(sys.argv[1]), Path(sys.argv[2]), published_at='/docs')"
    )
    return subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", code, str(docs), str(folder)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )


def test_two_runs_at_once_do_not_mix(docs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    runs = [run(docs, folder) for _ in range(3)]
    for process in runs:
        process.communicate()
    assert 0 in [process.returncode for process in runs]
    assert len(read_index(folder).chunks) == 2


async def test_readers_go_on_beside_each_other_and_beside_a_new_index(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.retrieval.local._LOOK_SECONDS", 0.0)
    folder = tmp_path / "index"
    index(docs, folder)
    readers = [LocalRetriever(folder) for _ in range(3)]
    assert [(await reader.search("Why do cats purr?", limit=1))[0].url for reader in readers] == [
        "/docs/cats"
    ] * 3

    write(docs, "parrots", "Parrots repeat what they hear.")
    index(docs, folder)
    for reader in readers:
        async with asyncio.timeout(20):
            while not await reader.search("Do parrots repeat what they hear?", limit=1) or (
                (await reader.search("Do parrots repeat what they hear?", limit=1))[0].url != "/docs/parrots"
            ):
                await asyncio.sleep(0.01)

    # What is gone or broken later changes nothing for who has read it.
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "current").write_text("abc")
    for reader in readers:
        assert (await reader.search("Do parrots repeat what they hear?", limit=1))[0].url == "/docs/parrots"
        await reader.close()


def test_reading_leaves_the_index_as_it_is(docs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    index(docs, folder)
    before = contents(folder)
    for path in folder.rglob("*"):
        os.utime(path, (1, 1))
    read_index(folder)
    assert contents(folder) == before
    assert all(path.stat().st_mtime == 1 for path in folder.rglob("*"))


def test_pages_without_text_are_no_index(docs: Path, tmp_path: Path) -> None:
    index(docs, tmp_path / "index")
    for page in docs.iterdir():
        page.write_text("---\ntitle: Nothing yet\n---\n")
    with pytest.raises(UnreadableDocuments, match="hold no text"):
        index(docs, tmp_path / "index")
    assert len(read_index(tmp_path / "index").chunks) == 2


def test_an_index_that_is_replaced_while_it_is_read_is_read_anew(
    docs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when its files went before any of them was copied, so that nothing was missing."""
    folder, copytree = tmp_path / "index", shutil.copytree
    index(docs, folder)
    copies: list[str] = []

    def slow(source: Path, target: str, **options: Any) -> Any:
        copies.append(source.name)
        if len(copies) > 1:
            return copytree(source, target, **options)
        write(docs, "birds", "Birds sing in the morning.")
        monkeypatch.setattr(shutil, "copytree", copytree)
        index(docs, folder)
        return target

    monkeypatch.setattr(shutil, "copytree", slow)
    assert len(read_index(folder).chunks) == 3
