"""What the ledger of imports knows: what arrived, how the source was read, and for whom it was."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
import pytest_asyncio

from alembic import command
from app.database import create_engine
from app.database.migrations import alembic_config
from app.repositories.moves import MoveRepository
from app.stores import NeonChatKitStore
from migrations_data import going_on
from migrations_data.check_threads import ThreadCheck
from migrations_data.run import DONE, DONE_WITH_REJECTS, FAILED
from migrations_data.verify import Verifier
from tests.support.moves import lines_of, move, refusal, stored
from tests.support.owners import Owner

TIME = "2025-01-01T00:00:00"
ALICE = Owner("alice")
SWALLOW = """
CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER swallow BEFORE INSERT ON {table} FOR EACH ROW WHEN (NEW.id ~ '{ids}')
EXECUTE FUNCTION swallow()
"""


@pytest_asyncio.fixture
async def store(database_url: str) -> AsyncIterator[NeonChatKitStore[Owner]]:
    engine = create_engine(database_url)
    yield NeonChatKitStore(engine)
    await engine.dispose()


def put(folder: Path, content: Any, name: str = "store.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


def thread(key: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "created_at": TIME, "metadata": {}, **more}


def said(key: str, of: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": key, "annotations": []}]
    return {
        "id": key,
        "thread_id": of,
        "created_at": TIME,
        "type": "assistant_message",
        "content": content,
    } | more


def two_threads() -> dict[str, Any]:
    return {
        "threads": [thread("t1"), thread("t2")],
        "items": {of: [said(f"{of}_m{n}", of) for n in range(5)] for of in ("t1", "t2")},
    }


async def ids(url: str, owner: str = "alice") -> dict[str, list[str]]:
    return {key: [item["id"] for item in items] for key, (_, items) in (await stored(url, owner)).items()}


def expected(*without: str) -> dict[str, list[str]]:
    whole = {of: [f"{of}_m{n}" for n in range(5)] for of in ("t1", "t2")}
    return {
        of: [one for one in items if one not in without] for of, items in whole.items() if of not in without
    }


async def interrupted(path: Path, url: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Import, and be killed when everything is written and nothing verified."""

    async def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Verifier, "verify", killed)
        with pytest.raises(KeyboardInterrupt):
            await move(path, url, user="alice", **options)


async def interrupted_early(path: Path, url: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
    """Import, and be killed before the second batch."""
    write, calls = MoveRepository.write, 0

    async def once(self: MoveRepository, *values: Any) -> Any:
        nonlocal calls
        if calls:
            raise KeyboardInterrupt
        calls += 1
        return await write(self, *values)

    with monkeypatch.context() as patch:
        patch.setattr(MoveRepository, "write", once)
        with pytest.raises(KeyboardInterrupt):
            await move(path, url, user="alice", batch=4, **options)


def moved_on(path: Path) -> Path:
    """Return a source by another name, with another time, and without its backup."""
    for backup in path.parent.glob("*.bak"):
        backup.unlink()
    moved = path.rename(path.with_name("other.json"))
    os.utime(moved, (1_600_000_000, 1_600_000_000))
    return moved


@pytest.mark.parametrize(
    ("table", "swallowed"),
    [("chat_thread_items", "t1_m[13]|t2_m0"), ("chat_thread_items", "m[01234]"), ("chat_threads", "t1")],
)
async def test_what_the_database_swallowed_is_told_and_stands_in_its_place_after_the_next_run(
    database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    table: str,
    swallowed: str,
) -> None:
    path = put(tmp_path, two_threads())
    connection = await asyncpg.connect(database_url)
    await connection.execute(SWALLOW.format(table=table, ids=swallowed))
    for _ in range(2):
        assert await move(path, database_url, user="alice", batch=4) == FAILED
        assert "did not arrive" in capsys.readouterr().out
        assert await connection.fetchval("SELECT finished_at FROM chat_data_moves") is None
    await connection.execute(f"DROP TRIGGER swallow ON {table}")
    await connection.close()
    assert await move(path, database_url, user="alice") == DONE
    assert "had not arrived before" in capsys.readouterr().out
    assert await ids(database_url) == expected()


async def test_what_was_deleted_stays_deleted_while_what_was_swallowed_comes(
    database_url: str, tmp_path: Path, store: NeonChatKitStore[Owner], capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path, two_threads())
    connection = await asyncpg.connect(database_url)
    await connection.execute(SWALLOW.format(table="chat_thread_items", ids="t1_m1|t1_m3|t2_m1"))
    assert await move(path, database_url, user="alice", batch=3) == FAILED
    await connection.execute("DROP TRIGGER swallow ON chat_thread_items")
    await connection.close()
    await store.delete_thread_item("t1", "t1_m2", ALICE)
    await store.delete_thread("t2", ALICE)
    assert await move(path, database_url, user="alice") == DONE_WITH_REJECTS
    told = capsys.readouterr().out
    assert "Deleted since: 2 records" in told
    assert "2 records that had not arrived" in told
    assert await ids(database_url) == expected("t1_m2", "t2")
    gone = {
        one["id"] for one in lines_of(tmp_path / "store.json.report.jsonl") if "deleted" in one["problem"]
    }
    assert gone == {"t1_m2", "t2"}


async def test_what_never_arrived_goes_behind_what_was_said_meanwhile_when_its_place_is_taken(
    database_url: str, tmp_path: Path
) -> None:
    path = put(tmp_path, two_threads())
    connection = await asyncpg.connect(database_url)
    await connection.execute(SWALLOW.format(table="chat_thread_items", ids="t1_m1"))
    assert await move(path, database_url, user="alice") == FAILED
    await connection.execute("DROP TRIGGER swallow ON chat_thread_items")
    await connection.execute(
        "UPDATE chat_thread_items SET position = 2 WHERE id = 't1_m0'",
    )
    await connection.execute(
        "UPDATE chat_thread_items SET position = position - 2 WHERE thread_id = 't1' AND position = 3"
    )
    await connection.execute("UPDATE chat_thread_items SET position = 3 WHERE id = 't1_m2'")
    await connection.close()
    assert await move(path, database_url, user="alice") == DONE_WITH_REJECTS
    assert (await ids(database_url))["t1"][-1] == "t1_m1"


async def test_a_refused_record_is_tried_again_and_rejected_again(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, two_threads())
    connection = await asyncpg.connect(database_url)
    await connection.execute("ALTER TABLE chat_thread_items ADD CONSTRAINT picky CHECK (id <> 't1_m1')")
    await interrupted(path, database_url, monkeypatch)
    assert await move(path, database_url, user="alice") == DONE_WITH_REJECTS
    (reject,) = lines_of(tmp_path / "store.json.rejects.jsonl")
    assert reject["id"] == "t1_m1"
    assert "database does not take it" in reject["reason"]
    await connection.close()
    assert await ids(database_url) == expected("t1_m1")


async def test_a_file_that_was_touched_or_moved_goes_on(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, {"threads": [{"id": "t1"}, {"id": "t2"}]})
    await interrupted(path, database_url, monkeypatch)
    assert await move(moved_on(path), database_url, user="alice") == DONE


async def test_another_zone_cannot_go_on_and_the_same_can(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path, berlin = put(tmp_path, two_threads()), ZoneInfo("Europe/Berlin")
    await interrupted_early(path, database_url, monkeypatch, zone=berlin)
    words = await refusal(path, database_url, user="alice")
    assert "--timezone Europe/Berlin and is unfinished: 4 of 12 records are written so" in words
    assert await move(path, database_url, user="alice", apply=False) == DONE
    assert "with --apply it is refused" in capsys.readouterr().out
    assert not (tmp_path / "store.json.rejects.jsonl").exists()
    assert await move(path, database_url, user="alice", zone=berlin) == DONE
    capsys.readouterr()
    assert await move(path, database_url, user="alice") == DONE
    assert "Times without a zone were read as Europe/Berlin then" in capsys.readouterr().out


async def test_another_zone_begins_anew_when_that_is_wanted(
    database_url: str, tmp_path: Path, store: NeonChatKitStore[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, two_threads())
    await interrupted_early(path, database_url, monkeypatch)
    await store.delete_everything(ALICE)
    assert await move(path, database_url, user="alice", zone=ZoneInfo("Europe/Berlin"), again=True) == DONE
    assert await ids(database_url) == expected()
    assert (await stored(database_url, "alice"))["t1"][0]["created_at"] == TIME


async def test_a_zone_that_changes_nothing_stops_nobody(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aware = {"created_at": f"{TIME}Z"}
    path = put(tmp_path, {"threads": [thread("t1", **aware)], "items": {"t1": [said("m", "t1", **aware)]}})
    await interrupted(path, database_url, monkeypatch)
    assert await move(path, database_url, user="alice", zone=ZoneInfo("Europe/Berlin")) == DONE


def read_otherwise(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    """Have the reader be a newer one, which reads one thread otherwise."""
    row = ThreadCheck.row

    def newer(self: ThreadCheck, *values: Any) -> Any:
        unit = row(self, *values)
        return unit._replace(title="Read otherwise") if unit.id == key else unit

    monkeypatch.setattr(ThreadCheck, "row", newer)
    monkeypatch.setattr("migrations_data.run.READER", going_on.READER + 1)


async def test_a_newer_reader_goes_on_when_what_is_written_is_the_same_to_it(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, two_threads())
    await interrupted_early(path, database_url, monkeypatch)
    read_otherwise(monkeypatch, "t2")
    assert await move(path, database_url, user="alice") == DONE
    assert await ids(database_url) == expected()
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT title FROM chat_threads WHERE id = 't2'") == "Read otherwise"
    ledger = await connection.fetchrow("SELECT reader, plan = digest, threads, items FROM chat_data_moves")
    await connection.close()
    assert ledger is not None
    assert tuple(ledger) == (going_on.READER + 1, True, 2, 10)


async def test_a_newer_reader_that_would_have_written_otherwise_is_refused(
    database_url: str, tmp_path: Path, store: NeonChatKitStore[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, two_threads())
    await interrupted_early(path, database_url, monkeypatch)
    before = await ids(database_url)
    with monkeypatch.context() as newer:
        read_otherwise(newer, "t1")
        words = await refusal(path, database_url, user="alice")
        assert "begun by another release" in words
        assert "4 of 12 records" in words
        assert await ids(database_url) == before
    assert await move(path, database_url, user="alice") == DONE


async def test_what_an_older_release_began_goes_on_if_it_is_read_the_same(
    database_url: str, tmp_path: Path, store: NeonChatKitStore[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The migration notes of it that everything written so far has arrived."""
    path = put(tmp_path, two_threads())
    await interrupted_early(path, database_url, monkeypatch)
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "UPDATE chat_data_moves SET content = NULL, zone = NULL, read_as_of = NULL, reader = NULL"
    )
    await connection.execute("UPDATE chat_data_move_batches SET digest = NULL")
    await connection.close()
    with monkeypatch.context() as newer:
        read_otherwise(newer, "t2")
        assert "another release" in await refusal(path, database_url, user="alice")
    await store.delete_thread_item("t1", "t1_m1", ALICE)
    assert await move(path, database_url, user="alice") == DONE_WITH_REJECTS
    assert await ids(database_url) == expected("t1_m1")


async def test_the_same_file_for_another_owner_has_to_be_wanted(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = put(tmp_path, two_threads())
    await move(path, database_url, user="alcie")
    capsys.readouterr()
    assert await move(path, database_url, user="alice", apply=False) == DONE
    told = capsys.readouterr().out
    assert "brought in before, with another owner: store.json" in told
    assert "--another-owner" in told
    assert "alcie" not in told
    assert "--another-owner" in await refusal(path, database_url, user="alice")
    assert await ids(database_url) == {}
    assert await move(path, database_url, user="alice", another_owner=True) == DONE
    assert await ids(database_url) == expected()
    # Once it is here for both, neither is a question any more.
    assert await move(path, database_url, user="alice") == DONE


async def test_an_import_that_wrote_nothing_is_no_hindrance(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, two_threads())

    async def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MoveRepository, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            await move(path, database_url, user="alcie")
    assert await move(path, database_url, user="alice") == DONE


async def test_a_move_that_another_process_began_anew_is_not_finished_by_the_first(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, berlin = put(tmp_path, two_threads()), ZoneInfo("Europe/Berlin")
    verify = Verifier.verify

    async def meanwhile(self: Verifier, *values: Any) -> Any:
        with monkeypatch.context() as patch:
            patch.setattr(Verifier, "verify", verify)
            await interrupted_early(path, database_url, monkeypatch, zone=berlin, again=True)
        return await verify(self, *values)

    with monkeypatch.context() as patch:
        patch.setattr(Verifier, "verify", meanwhile)
        assert "Another process" in await refusal(path, database_url, user="alice")
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT finished_at FROM chat_data_moves") is None
    await connection.close()


async def test_an_import_that_began_before_the_same_file_came_for_another_owner_has_to_be_wanted(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, two_threads())

    async def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MoveRepository, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            await move(path, database_url, user="alcie")
    assert await move(path, database_url, user="alice") == DONE
    assert "--another-owner" in await refusal(path, database_url, user="alcie")
    assert await ids(database_url, "alcie") == {}


async def test_a_second_run_tells_as_the_first_that_something_was_deleted(
    database_url: str,
    tmp_path: Path,
    store: NeonChatKitStore[Owner],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = put(tmp_path, two_threads())
    await interrupted(path, database_url, monkeypatch)
    await store.delete_thread_item("t1", "t1_m1", ALICE)
    assert await move(path, database_url, user="alice") == DONE_WITH_REJECTS
    capsys.readouterr()
    assert await move(path, database_url, user="alice") == DONE_WITH_REJECTS
    assert "deleted" in capsys.readouterr().out


async def test_what_a_release_without_batches_wrote_meanwhile_has_arrived(
    database_url: str, tmp_path: Path, store: NeonChatKitStore[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was at work while the tables were changed: the ledger moved on, and no batch was noted."""
    path = put(tmp_path, two_threads())
    await interrupted(path, database_url, monkeypatch, batch=4)
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM chat_data_move_batches WHERE until > 4")
    await connection.close()
    await store.delete_thread("t2", ALICE)
    assert await move(path, database_url, user="alice") == DONE_WITH_REJECTS
    assert await ids(database_url) == expected("t2")


async def test_an_unfinished_import_outlives_a_downgrade_and_the_upgrade_after_it(
    database_url: str, tmp_path: Path, store: NeonChatKitStore[Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batches are forgotten: what was written counts as arrived, and the rest is written."""
    path = put(tmp_path, two_threads())
    await interrupted_early(path, database_url, monkeypatch)
    config = alembic_config(database_url)
    await asyncio.to_thread(command.downgrade, config, "0004")
    await asyncio.to_thread(command.upgrade, config, "head")
    await store.delete_thread_item("t1", "t1_m1", ALICE)
    assert await move(path, database_url, user="alice") == DONE_WITH_REJECTS
    assert await ids(database_url) == expected("t1_m1")
