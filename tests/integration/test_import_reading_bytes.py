"""Bytes of attachments that are known here already: they come to those that have none, and to no other."""

import base64
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.files.blobs import Blobs
from migrations_data.run import DONE, DONE_WITH_REJECTS
from tests.support.moves import export, move
from tests.support.stores import T, exported, put, rejects, said, thread

HELLO = base64.b64encode(b"hello").decode()
CARRIED = {"type": "file", "id": "atc_1", "name": "a.txt", "mime_type": "text/plain"}


@pytest.fixture
def url(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")
    return database_url


def with_bytes(content: Any, text: str | None, **more: Any) -> Any:
    content["attachments"][0] |= {"bytes": text, **more}
    return content


async def out(url: str, folder: Path) -> Any:
    return json.loads(await export(url, "alice", Blobs.at(f"file:{folder / 'files'}")))


async def removals(url: str) -> int:
    connection = await asyncpg.connect(url)
    found: int = await connection.fetchval("SELECT count(*) FROM chat_file_removals")
    await connection.close()
    return found


@pytest.mark.parametrize("size", [5, None])
async def test_bytes_come_to_an_attachment_that_has_none(url: str, tmp_path: Path, size: int | None) -> None:
    await move(put(tmp_path, with_bytes(exported(), None, size=size), "without.json"), url)
    assert await move(put(tmp_path, exported()), url) == DONE
    assert await out(url, tmp_path) == exported()
    # Nothing will take them away again.
    assert await removals(url) == 0


async def test_bytes_come_to_an_attachment_of_a_store(url: str, tmp_path: Path) -> None:
    message = said("m1", "t1", "x") | {
        "type": "user_message", "content": [{"type": "input_text", "text": "x"}], "attachments": [CARRIED],
        "quoted_text": None, "inference_options": {},
    }  # fmt: skip
    content = {"threads": [thread("t1", created_at=T)], "items": [message], "attachments": {"atc_1": CARRIED}}
    assert await move(put(tmp_path, content), url, user="alice") == DONE
    text = await export(url, "alice", Blobs.at(f"file:{tmp_path / 'files'}"))
    whole = text.replace('"size": null', '"size": 5').replace('"bytes": null', f'"bytes": "{HELLO}"')
    assert await move(put(tmp_path, whole, "with.json"), url) == DONE
    assert await export(url, "alice", Blobs.at(f"file:{tmp_path / 'files'}")) == whole


@pytest.mark.parametrize(
    "more",
    [
        {"payload": CARRIED | {"name": "another.txt"}},
        {"thread_id": "thr_other"},
        {"item_id": "msg_other"},
        {"size": 6, "bytes": base64.b64encode(b"hello!").decode()},
    ],
)
async def test_bytes_of_another_attachment_with_this_id_are_rejected(
    url: str, tmp_path: Path, more: dict[str, Any]
) -> None:
    before = with_bytes(exported(), None)
    await move(put(tmp_path, before, "without.json"), url)
    path = put(
        tmp_path, with_bytes(exported(), HELLO) | {"attachments": [exported()["attachments"][0] | more]}
    )
    assert await move(path, url) == DONE_WITH_REJECTS
    (reject,) = rejects(path)
    assert (reject["id"], "bytes" in reject["reason"]) == ("atc_1", True)
    assert await out(url, tmp_path) == before


async def test_bytes_that_are_here_stay(url: str, tmp_path: Path) -> None:
    await move(put(tmp_path, exported(), "before.json"), url)
    path = put(tmp_path, with_bytes(exported(), base64.b64encode(b"other").decode()))
    assert await move(path, url) == DONE_WITH_REJECTS
    assert await out(url, tmp_path) == exported()
