"""How soon the offline tutor answers over HTTP: its first words, and a whole answer among many users."""

import asyncio
import time
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import median

import httpx

from benchmarks.over_http import demo
from benchmarks.retrieval.questions import MEASURED, Questions
from benchmarks.tables import Table, percentile

_USERS = 100
_ALONE = 50
_COLUMNS = ("offline answers over HTTP", "p50 ms", "p95 ms", "longest ms", "goal ms")
_NOTES = (
    "The demo in a process of its own: questions one after the other, then many conversations at once.",
)
_FIRST_WORDS = "text_delta"


@dataclass(frozen=True, slots=True)
class Answered:
    """When an answer came."""

    first: float
    """Seconds until its first words."""
    whole: float
    """Seconds until all of it, stored."""


async def run(users: int = _USERS) -> Table:
    """Measure against a demo that is started for it, and indexes the docs when it starts."""
    texts = [question.text for question in Questions.load(MEASURED).direct]
    async with demo("offline") as http:
        alone = [await _ask(http, text) for text in islice(cycle(texts), _ALONE)]
        together = await asyncio.gather(*(_ask(http, text) for text in islice(cycle(texts), users)))
    table = Table("Offline answers", _COLUMNS, _NOTES)
    for name, seconds, goal in (
        ("first words, alone", [one.first for one in alone], "200"),
        ("a whole answer, alone", [one.whole for one in alone], ""),
        (f"first words, {users} users at once", [one.first for one in together], ""),
        (f"a whole answer, {users} users at once", [one.whole for one in together], "5000"),
    ):
        times = (median(seconds), percentile(seconds, 95), max(seconds))
        table.rows.append([name, *(f"{value * 1000:.0f}" for value in times), goal])
    return table


async def _ask(http: httpx.AsyncClient, text: str) -> Answered:
    body = {
        "type": "threads.create",
        "params": {
            "input": {
                "content": [{"type": "input_text", "text": text}],
                "attachments": [],
                "inference_options": {},
            }
        },
    }
    begun = time.perf_counter()
    first = 0.0
    async with http.stream("POST", "/chatkit", json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not first and _FIRST_WORDS in line:
                first = time.perf_counter() - begun
    assert first, "an answer without words"
    return Answered(first, time.perf_counter() - begun)
