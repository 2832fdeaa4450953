"""What a page is told before it knows who looks at it."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from app.main import create_app
from app.settings import Settings
from tests.support.server import house, serving


@pytest.mark.parametrize("anonymous", ["memory", "persist", "deny"])
async def test_anybody_is_told_how_visitors_are_treated_and_nobody_is_kept(
    database_url: str, anonymous: str
) -> None:
    settings: dict[str, Any] = {
        "chat_anonymous": anonymous,
        "chat_attachments": "off",
        "chat_max_message_bytes": 1000,
    }
    async with house(database_url, **settings) as opened:
        answer = await opened.client().http.get("/chat/policy")
    told = answer.json()
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert abs((datetime.fromisoformat(told.pop("now")) - datetime.now(UTC)).total_seconds()) < 60
    assert told == {
        "anonymous": anonymous,
        "attachments": False,
        "max_message_bytes": 1000,
        "demo_users": ["alice", "bob"],
    }


async def test_without_the_demo_and_without_a_database_it_is_told_as_well() -> None:
    app = create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/nothing", _env_file=None))
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as http:
        told = (await http.get("/chat/policy")).json()
    assert told["demo_users"] == []
