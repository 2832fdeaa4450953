"""The API does what /openapi.json says, whatever is sent: requests made up by Schemathesis."""

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import house

_SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
# What a run finds must not depend on luck. The fuzzing of a change of the API begins anew by itself.
_SEED = "1"
_CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.parametrize("who", ["account", "visitor", "visitor with an id"])
async def test_nothing_that_is_sent_makes_the_server_fail(
    database_url: str, tmp_path: Path, who: str
) -> None:
    anonymous = "persist" if who == "visitor with an id" else "memory"
    settings: dict[str, Any] = {"chat_rate_limit": "1000000/minute", "chat_anonymous": anonymous}
    # Else each request for the stream of changes would last as long as the client waits.
    settings["chat_events_seconds"] = 0.05
    async with house(database_url, **settings) as opened:
        for chat in (opened.alice, opened.client()):
            await chat.create("Something to find")
        header = f"Authorization: Bearer {opened._demo.mint('alice')}" if who == "account" else "X-Nobody: 1"
        process = await asyncio.create_subprocess_exec(
            *(_SCHEMATHESIS, "run", f"{opened.url}/openapi.json", "--header", header, "--checks", _CHECKS),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--seed", _SEED),
            *("--no-color", "--suppress-health-check", "all", "--warnings", "off"),
            cwd=tmp_path,
            stdout=PIPE,
            stderr=STDOUT,
        )
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
