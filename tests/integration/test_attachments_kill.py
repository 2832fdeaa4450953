"""Files, and a server that is killed while it takes them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from tests.support.files import png
from tests.support.processes import running
from tests.support.server import Chat, house, user_input

UPLOADS = 24


@pytest.mark.parametrize("answered", [1, 5, 12])
async def test_kill_9_during_uploads_loses_nothing_that_was_answered_and_leaves_nothing_for_good(
    database_url: str, tmp_path: Path, answered: int
) -> None:
    files = tmp_path / "files"
    done: list[str] = []
    killed = asyncio.Event()
    serving = running(
        "serve", DATABASE_URL=database_url, CHAT_ANONYMOUS="persist", CHAT_FILES_URL=f"file:{files}"
    )
    async with serving as (process, url), httpx.AsyncClient(base_url=url, timeout=120) as http:
        visitor = Chat(http)
        kept = (await http.post("/chat/attachments", files={"file": ("kept.png", png())})).json()
        await visitor.stream("threads.create", input=user_input(attachments=[kept["id"]]))

        async def upload(number: int) -> None:
            content = png(number) + bytes(2_000_000)
            response = await http.post("/chat/attachments", files={"file": ("a.png", content)})
            done.append(response.json()["id"])
            if len(done) == answered:
                process.kill()
                killed.set()

        async def never_whole() -> AsyncIterator[bytes]:
            """Begin a file that is still on its way at that moment, however quick the server is."""
            yield b'--part\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + png()
            await killed.wait()
            yield bytes(2_000_000)

        form = {"Content-Type": "multipart/form-data; boundary=part"}
        await asyncio.gather(
            http.post("/chat/attachments", content=never_whole(), headers=form),
            *(upload(number) for number in range(1, UPLOADS)),
            return_exceptions=True,
        )
        await process.wait()
        cookies = http.cookies
    assert answered <= len(done) < UPLOADS

    connection = await asyncpg.connect(database_url)
    async with house(database_url, chat_anonymous="persist", chat_files_url=f"file:{files}") as opened:
        again = opened.client()
        again.http.cookies = cookies
        for attachment_id in [*done, kept["id"]]:
            link = (await again.http.get(f"/chat/attachments/{attachment_id}")).json()["url"]
            assert (await again.http.get(link)).status_code == 200
        # A day later.
        await connection.execute("UPDATE chat_file_removals SET due_at = due_at - interval '1 day'")
        await connection.execute("UPDATE chat_attachments SET created_at = created_at - interval '2 days'")
        await opened.swept()
        assert await connection.fetchval("SELECT count(*) FROM chat_attachments") == 1
        assert await connection.fetchval("SELECT count(*) FROM chat_file_removals") == 0
        assert await connection.fetchval("SELECT file_key FROM chat_attachments") == _only(files)
    await connection.close()


def _only(folder: Path) -> str:
    (path,) = folder.iterdir()
    return path.name
