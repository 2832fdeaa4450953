"""A turn's stream: in as few pieces as its reader can have it in, and whole."""

from collections.abc import AsyncIterator

from hypothesis import given
from hypothesis import strategies as st

from app.chat.turns import RunningTurn

CHUNKS = st.lists(st.binary(min_size=1, max_size=9), min_size=1, max_size=9)


async def chunks_of(chunks: list[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def last_words(error: Exception) -> bytes:
    raise AssertionError from error


async def finished(chunks: list[bytes]) -> RunningTurn:
    turn = RunningTurn("ada", chunks_of(chunks), last_words)
    await turn.run()
    return turn


async def test_what_is_there_already_is_sent_as_one_piece() -> None:
    turn = await finished([b"one", b"two", b"three"])
    assert [piece async for piece in turn.read()] == [b"onetwothree"]


async def test_who_reads_while_it_is_written_has_each_piece_when_it_comes() -> None:
    said: list[bytes] = []

    async def one_after_the_other() -> AsyncIterator[bytes]:
        yield b"one"
        said.append(await anext(pieces))
        yield b"two"

    turn = RunningTurn("ada", one_after_the_other(), last_words)
    pieces = turn.read()
    await turn.run()
    assert [*said, *[piece async for piece in pieces]] == [b"one", b"two"]


@given(CHUNKS, st.integers(0, 9))
async def test_who_comes_back_reads_on_behind_what_they_have(chunks: list[bytes], behind: int) -> None:
    turn = await finished(chunks)
    rest = chunks[behind:] if behind <= len(chunks) else chunks
    assert b"".join([piece async for piece in turn.read(behind)]) == b"".join(rest)
