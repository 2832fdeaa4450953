"""An import that is killed at any moment, and run again, loses and doubles nothing."""

import asyncio
import base64
import json
import os
import secrets
import signal
from pathlib import Path
from typing import Any

import asyncpg

from migrations_data.run import DONE
from tests.support.moves import rows_of, stored
from tests.support.processes import begun

KILLS = 15
THREADS, ITEMS = 60, 25
# However late a kill comes, what it ends has not finished.
HOLD = """
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$;
    CREATE TRIGGER hold BEFORE UPDATE ON chat_data_moves
        FOR EACH ROW WHEN (NEW.finished_at IS NOT NULL) EXECUTE FUNCTION hold();
    SELECT pg_advisory_lock(1);
"""
LET_GO = "DROP TRIGGER hold ON chat_data_moves; SELECT pg_advisory_unlock(1)"
# The server does not see that their client is dead while they wait.
END_HELD = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event = 'advisory'"
)
OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def store() -> dict[str, Any]:
    threads = {
        f"thr_{t}": {"id": f"thr_{t}", "created_at": f"2025-01-01T00:00:{t % 60:02}", "metadata": {}}
        for t in range(THREADS)
    }
    items = {
        thread: [
            {
                "id": f"msg_{n}" if n % 3 else "__fake_id__",
                "thread_id": thread,
                "created_at": f"2025-01-02T00:00:{n:02}",
                "type": "hidden_context_item",
                "content": f"{thread} {n}",
            }
            for n in range(ITEMS)
        ]
        for thread in threads
    }
    return {"threads": threads, "items": items}


def exported(files: int) -> str:
    """Return an export of one message with files."""
    thread = {"id": "thr_1", "created_at": "2025-01-01T00:00:00", "status": {"type": "active"}}
    time = "2025-01-01T00:00:00.000000Z"
    base = {"created_at": time, "active_at": time, "title": None, "status": "active"}
    attachments = [
        {
            "id": f"atc_{number}",
            "thread_id": "thr_1",
            "item_id": None,
            "created_at": time,
            "size": len(content(number)),
            "payload": {"id": f"atc_{number}", "name": "a.bin", "mime_type": "text/plain", "type": "file"},
            "bytes": base64.b64encode(content(number)).decode(),
        }
        for number in range(files)
    ]
    sections = {
        "threads": [{"id": "thr_1", **base, "payload": thread, "metadata": {}}],
        "items": [],
        "attachments": attachments,
    }
    return json.dumps({"format": "chatkit-neon", "version": 1, "user_id": "alice"} | sections)


def content(number: int) -> bytes:
    """Return the bytes of a file."""
    return bytes([number]) * 100_000


async def importing(path: Path, url: str) -> asyncio.subprocess.Process:
    arguments = ("import-json", str(path), "--user", "alice", "--apply", "--batch", "7")
    return await begun(*arguments, DATABASE_URL=url, CHAT_FILES_URL=f"file:{path.parent / 'files'}")


async def position(connection: "asyncpg.Connection[Any]") -> int:
    return await connection.fetchval("SELECT coalesce(max(position), 0) FROM chat_data_moves") or 0


async def killed(path: Path, url: str, connection: "asyncpg.Connection[Any]", wait_for: int) -> None:
    """Kill an import once it has gone so far, or a moment later; before it writes, at any moment."""
    process = await importing(path, url)
    async with asyncio.timeout(60):
        while process.returncode is None and await position(connection) < wait_for:
            await asyncio.sleep(0.001)
        await asyncio.sleep(secrets.randbelow(10 if wait_for else 2500) / 1000)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.wait()
        await connection.execute(END_HELD)


async def until_alone(connection: "asyncpg.Connection[Any]") -> None:
    """Return when nothing goes on in the database that a dead import began."""
    async with asyncio.timeout(60):
        while await connection.fetchval(OTHERS):
            await connection.execute(END_HELD)
            await asyncio.sleep(0.01)


async def test_kill_9_at_any_moment_loses_and_doubles_nothing(database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "chatkit_store.json"
    content = store()
    path.write_text(json.dumps(content))
    connection = await asyncpg.connect(database_url)
    await connection.execute(HOLD)
    units = THREADS * (ITEMS + 1)
    # Some before the first batch, some in the middle, the last while it verifies.
    moments = sorted([0, 0, 0, units, *(secrets.randbelow(units) for _ in range(KILLS - 4))])
    reached = []
    for moment in moments:
        await killed(path, database_url, connection, moment)
        reached.append(await position(connection))
    assert reached == sorted(reached)
    assert reached[-1] == units
    await until_alone(connection)
    assert await connection.fetchval("SELECT finished_at FROM chat_data_moves") is None
    await connection.execute(LET_GO)

    last = await importing(path, database_url)
    assert await last.wait() == DONE

    found = await stored(database_url, "alice")
    for thread, items in content["items"].items():
        assert [item["content"] for item in found[thread][1]] == [item["content"] for item in items]
    assert len(found) == THREADS
    counts = await connection.fetchrow("SELECT threads, items, plan = digest FROM chat_data_moves")
    assert counts is not None
    assert tuple(counts) == (THREADS, THREADS * ITEMS, True)
    await connection.close()

    before = await rows_of(database_url)
    again = await importing(path, database_url)
    assert await again.wait() == DONE
    assert await rows_of(database_url) == before
    # The stage has no name, so nothing is left of those that were killed.
    left = {Path(name).suffix for name in os.listdir(tmp_path)}  # noqa: PTH208 - a moment, and no more
    assert left <= {".json", ".bak", ".jsonl"}


async def test_kill_9_leaves_each_attachment_with_its_bytes_and_no_other(
    database_url: str, tmp_path: Path
) -> None:
    files = 40
    path = tmp_path / "export.json"
    path.write_text(exported(files))
    connection = await asyncpg.connect(database_url)
    for moment in (1, 10, 20, 30):
        await killed(path, database_url, connection, moment)
    last = await importing(path, database_url)
    assert await last.wait() == DONE
    keys = await connection.fetch("SELECT id, file_key FROM chat_attachments")
    assert len(keys) == files
    for attachment, key in keys:
        number = int(attachment.removeprefix("atc_"))
        assert (tmp_path / "files" / key).read_bytes() == content(number)
    # Whatever else was written before a kill is announced, and will be swept.
    noted = {row[0] for row in await connection.fetch("SELECT file_key FROM chat_file_removals")}
    bound = {key for _, key in keys}
    assert not noted & bound
    await connection.close()
    there = {name.partition("#")[0] for name in os.listdir(tmp_path / "files")}  # noqa: PTH208 - as above
    assert bound <= there <= bound | noted
