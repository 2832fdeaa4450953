"""What somebody deletes while an import is unfinished takes its files with it, also those yet to come."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.database import create_engine
from app.repositories.moves import MoveRepository
from app.stores import NeonChatKitStore
from migrations_data.run import DONE, DONE_WITH_REJECTS, FAILED
from migrations_data.verify import Verifier
from tests.support.moves import move
from tests.support.owners import Owner
from tests.support.stores import exported, notes, put

ALICE = Owner("alice")
UNITS = 3


@pytest.fixture
def url(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")
    return database_url


def with_a_file() -> Any:
    """Return an export of one message with one file."""
    whole = exported()
    (file,) = whole["attachments"]
    items = [one for one in whole["items"] if one["id"] == file["item_id"]]
    threads = [one for one in whole["threads"] if one["id"] == file["thread_id"]]
    assert len(threads + items) + 1 == UNITS
    return whole | {"threads": threads, "items": items}


async def interrupted(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch, batches: int, **options: Any
) -> None:
    """Import, and be killed behind some batches."""
    write, left = MoveRepository.write, batches

    async def some(self: MoveRepository, *values: Any) -> Any:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return await write(self, *values)

    async def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MoveRepository, "write", some)
        patch.setattr(Verifier, "verify", killed)
        with pytest.raises(KeyboardInterrupt):
            await move(path, url, **options)


async def deleted(url: str, content: Any) -> None:
    """Delete the message, as its owner does."""
    (item,) = content["items"]
    engine = create_engine(url)
    await NeonChatKitStore[Owner](engine).delete_thread_item(item["thread_id"], item["id"], ALICE)
    await engine.dispose()


async def attachments(url: str) -> int:
    connection = await asyncpg.connect(url)
    found: int = await connection.fetchval("SELECT count(*) FROM chat_attachments")
    await connection.close()
    return found


SWALLOW = """
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER swallow BEFORE INSERT ON chat_attachments FOR EACH ROW EXECUTE FUNCTION swallow()
"""


async def test_the_file_of_a_message_that_was_deleted_does_not_come(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = with_a_file()
    path = put(tmp_path, content)
    await interrupted(path, url, monkeypatch, UNITS - 1, batch=1)
    await deleted(url, content)
    assert await move(path, url) == DONE_WITH_REJECTS
    assert await attachments(url) == 0
    assert all("stays deleted" in one["problem"] for one in notes(path))
    assert len(notes(path)) == len(content["items"] + content["attachments"])


async def test_a_file_that_never_arrived_does_not_come_when_its_message_was_deleted(
    url: str, tmp_path: Path
) -> None:
    content = with_a_file()
    path = put(tmp_path, content)
    connection = await asyncpg.connect(url)
    await connection.execute(SWALLOW)
    assert await move(path, url) == FAILED
    await connection.execute("DROP TRIGGER swallow ON chat_attachments")
    await connection.close()
    await deleted(url, content)
    assert await move(path, url) == DONE_WITH_REJECTS
    assert await attachments(url) == 0


async def test_a_file_comes_with_its_message_however_they_are_parted(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, with_a_file())
    await interrupted(path, url, monkeypatch, UNITS - 1, batch=1)
    assert await move(path, url) == DONE
    assert await attachments(url) == 1
