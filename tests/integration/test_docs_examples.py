"""What the documents tell people to copy works."""

import re
from pathlib import Path
from typing import Any

import pytest

from app.chat.responder import Responder
from migrations_data.run import DONE
from tests.support.moves import move, stored
from tests.support.server import house, user_input

_DOCS = Path(__file__).parents[2] / "docs"


def example(page: str, language: str, having: str) -> str:
    """Return the example of a page in which some words stand."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (_DOCS / page).read_text(), re.DOTALL)
    (found,) = [block for block in blocks if having in block]
    return str(found)


async def test_the_plainest_file_to_import_comes_over_whole(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHAT_FILES_URL", f"file:{tmp_path / 'files'}")
    source = tmp_path / "store.json"
    source.write_text(example("migrate.md", "json", '"threads"'))
    assert await move(source, database_url, user_from="user_id") == DONE
    ((thread, items),) = (await stored(database_url, "alice")).values()
    assert thread["title"] == "Leases"
    said = ["What is a lease?", "A promise for a limited time."]
    assert [item["content"][0]["text"] for item in items] == said


async def test_the_responder_of_the_page_on_answers_answers(database_url: str) -> None:
    code = example("tutor.md", "python", "class Shouter").replace(
        "app = create_app", "app = lambda: create_app"
    )
    names: dict[str, Any] = {}
    exec(compile(code, "docs/tutor.md", "exec"), names)  # noqa: S102 - our own page
    shouter = names["Shouter"]()
    assert isinstance(shouter, Responder)
    async with house(database_url, responder=shouter) as opened:
        events = await opened.alice.stream("threads.create", input=user_input("hello"))
    assert "HELLO" in str(events)


async def test_the_first_message_of_the_first_page_is_taken(database_url: str) -> None:
    body = re.search(r"-d '(\{.*?\})'\n", (_DOCS / "getting-started.md").read_text(), re.DOTALL)
    assert body is not None
    async with house(database_url) as opened:
        headers = {"Content-Type": "application/json"}
        answer = await opened.client().http.post("/chatkit", content=body[1], headers=headers)
    assert answer.status_code == 200
    assert "What is a lease?" in answer.text
