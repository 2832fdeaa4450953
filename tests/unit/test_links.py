"""Links to files: short-lived, for one use of one file, and unreadable."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import RecordNotFound
from app.files.links import LINK_SECONDS, Grant, Links, Use

GRANT = Grant("download", "accounts", "user-with-a-name", "atc_1")


class Keys:
    """The same secret for every purpose."""

    def __init__(self, key: bytes = b"k" * 32) -> None:
        self._key = key

    async def key(self, purpose: str) -> bytes:
        return self._key


def links(now: float = 1000.0, keys: Keys | None = None) -> Links:
    return Links(keys or Keys(), clock=lambda: now)


async def opened(token: str, now: float = 1000.0, **asked: Any) -> tuple[Grant, int]:
    asked = {"use": "download", "attachment_id": "atc_1", **asked}
    return await links(now).open(token, **asked)


async def test_a_link_opens_for_what_it_was_made_and_says_for_how_long() -> None:
    token, until = await links().seal(GRANT)
    assert until.timestamp() == 1000 + LINK_SECONDS
    assert await opened(token, 1060) == (GRANT, LINK_SECONDS - 60)
    assert await opened(token, 1000 + LINK_SECONDS) == (GRANT, 0)


async def test_nobody_reads_an_owner_in_a_link() -> None:
    token, _ = await links().seal(GRANT)
    content = base64.urlsafe_b64decode(token)
    for secret in (b"user-with-a-name", b"atc_1", b"download"):
        assert secret not in content
        assert secret not in token.encode()
    assert token != (await links().seal(GRANT))[0]


@pytest.mark.parametrize(
    ("now", "use", "attachment_id"),
    [
        (1001 + LINK_SECONDS, "download", "atc_1"),
        (900, "download", "atc_1"),
        (1000, "upload", "atc_1"),
        (1000, "download", "atc_2"),
        (1000, "download", ""),
    ],
)
async def test_a_link_opens_nothing_else_and_not_for_ever(now: float, use: Use, attachment_id: str) -> None:
    token, _ = await links().seal(GRANT)
    with pytest.raises(RecordNotFound) as refused:
        await opened(token, now, use=use, attachment_id=attachment_id)
    with pytest.raises(RecordNotFound) as nonsense:
        await opened("nonsense")
    assert str(refused.value) == str(nonsense.value)


async def test_another_service_s_link_opens_nothing() -> None:
    token, _ = await links(keys=Keys(b"o" * 32)).seal(GRANT)
    with pytest.raises(RecordNotFound):
        await opened(token)


@given(token=st.text())
async def test_no_text_that_somebody_makes_up_opens_anything(token: str) -> None:
    with pytest.raises(RecordNotFound):
        await opened(token)


@given(place=st.integers(0, 150), other=st.characters(categories=["Ll", "Lu", "Nd"], max_codepoint=122))
async def test_a_link_that_was_changed_opens_nothing_but_itself(place: int, other: str) -> None:
    token, _ = await links().seal(GRANT)
    changed = token[:place] + other + token[place + 1 :]
    if changed == token:
        return
    try:
        assert await opened(changed) == (GRANT, LINK_SECONDS)
    except RecordNotFound:
        return
    # The last digit of Base64 has bits that mean nothing.
    assert base64.urlsafe_b64decode(changed) == base64.urlsafe_b64decode(token)


@given(
    owner=st.text(max_size=255).filter(lambda text: text.isprintable()),
    attachment_id=st.text(max_size=255).filter(lambda text: text.isprintable()),
)
async def test_any_owner_and_file_come_back(owner: str, attachment_id: str) -> None:
    grant = Grant("upload", "visitors", owner, attachment_id)
    token, _ = await links().seal(grant)
    assert (await opened(token, use="upload", attachment_id=attachment_id))[0] == grant
