"""Whether what is stored is what was sent: each message and each answer once, in order, by its owner."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack

import httpx

from chaos.check import Complaint, Fault, shown
from chaos.snapshot import ANSWER, MESSAGE, Snapshot, Ways, take
from load.crowd import Outcome
from load.plan import Place


async def look(
    database_url: str, place: Place, outcomes: Sequence[Outcome], most_read: int
) -> list[Complaint]:
    """Read the tables for everybody, and over HTTP for some; return what is not as it was sent."""
    async with AsyncExitStack() as open_now:
        ways: dict[str, Ways] = {}
        for name, token in [*place.tokens.items()][:most_read]:
            client = await open_now.enter_async_context(_way(place, token))
            ways[name] = (client, client)
        snapshot = await take(database_url, ways)
    return [*compare(outcomes, snapshot), *shown(snapshot)]


def _way(place: Place, token: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=f"http://{place.host}:{place.port}", headers={"Authorization": f"Bearer {token}"}
    )


def compare(outcomes: Iterable[Outcome], snapshot: Snapshot) -> Iterator[Complaint]:
    """Yield what the tables hold otherwise than users sent it.

    A user of whom a message has no known fate has had an error already, and is left out.
    """
    stored: dict[tuple[str, str], list[tuple[str, str]]] = {place: [] for place in snapshot.threads}
    for row in sorted(snapshot.rows, key=lambda row: row.position):
        stored.setdefault((row.owner, row.thread_id), []).append((row.type, row.text))
    for outcome in outcomes:
        for owner, threads in outcome.sent.items():
            for sent in threads:
                kept = stored.pop((owner, sent.thread_id), [])
                said = [(kind, text) for text in sent.texts for kind in (MESSAGE, ANSWER)]
                if kept != said and owner not in outcome.unsure:
                    what = f"thread {sent.thread_id} of {owner} holds {kept}, not {said}"
                    yield Complaint(_fault(kept, said), what)
    unsure = {owner for outcome in outcomes for owner in outcome.unsure}
    for owner, thread_id in stored:
        if owner not in unsure:
            yield Complaint("stray", f"nobody began thread {thread_id} of {owner}")


def _fault(kept: Sequence[tuple[str, str]], said: Sequence[tuple[str, str]]) -> Fault:
    if Counter(said) - Counter(kept):
        return "lost"
    return "doubled" if Counter(kept) - Counter(said) else "out of order"
