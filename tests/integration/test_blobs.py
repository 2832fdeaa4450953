"""Bytes of files: the same promises on a disk, in an S3 store, and in memory."""

import io
import os
import shutil
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.errors import RecordNotFound, StoreUnavailable
from app.files.blobs import Blobs, new_file_key
from app.main import create_app
from app.settings import Settings, explain
from tests.support.files import PNG
from tests.support.object_store import ENVIRONMENT, make_bucket, objects_in, s3_server
from tests.support.server import house, user_input

BUCKET = "chat-files"


@pytest_asyncio.fixture(scope="module")
async def s3() -> AsyncIterator[str]:
    """Yield the address of an S3 server with a bucket."""
    async with s3_server() as url:
        await make_bucket(url, BUCKET)
        yield url


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, s3: str) -> str:
    """Have the environment point to the S3 server."""
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": s3}.items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.fixture(params=["disk", "s3", "memory"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    match request.param:
        case "disk":
            return Blobs.at(f"file:{tmp_path}/files")
        case "s3":
            request.getfixturevalue("aws")
            return Blobs.at(f"s3://{BUCKET}/some/prefix")
        case _:
            return Blobs.in_memory()


async def read(blobs: Blobs, key: str) -> bytes:
    return b"".join([chunk async for chunk in await blobs.stream(key)])


@pytest.mark.parametrize("size", [1, 300_000, 11 * 2**20])
async def test_a_file_comes_back_as_it_was_and_goes_for_good(blobs: Blobs, size: int) -> None:
    key, content = new_file_key(), os.urandom(size)
    file = io.BytesIO(content)
    file.seek(1)
    await blobs.put(key, file)
    assert await read(blobs, key) == content
    for _ in range(2):
        await blobs.delete(key)
        with pytest.raises(RecordNotFound):
            await blobs.stream(key)


@pytest.mark.parametrize(
    "key", ["", "../x", "a/b", "a" * 36, new_file_key().upper(), f"{{{new_file_key()}}}"]
)
async def test_nothing_but_a_key_of_ours_gets_to_the_store(blobs: Blobs, key: str) -> None:
    for call in (blobs.put(key, io.BytesIO(b"x")), blobs.stream(key), blobs.delete(key)):
        with pytest.raises(ValueError, match=r"key|UUID"):
            await call


async def test_a_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    Blobs.at(f"file:{tmp_path}/deep/files")
    assert stat.S_IMODE((tmp_path / "deep" / "files").stat().st_mode) == 0o700


async def test_a_relative_folder_is_below_where_the_server_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    blobs = Blobs.at("file:data/files")
    monkeypatch.chdir("/")
    await blobs.put(key := new_file_key(), io.BytesIO(b"x"))
    assert (tmp_path / "data" / "files" / key).read_bytes() == b"x"


async def test_a_written_file_and_its_name_are_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real: Callable[[int], None] = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    blobs = Blobs.at(f"file:{tmp_path}/files")
    await blobs.put(key := new_file_key(), io.BytesIO(b"x"))
    assert synced == [key, "files"]
    await blobs.delete(key)
    assert synced == [key, "files", "files"]


async def test_what_a_broken_off_write_left_goes_with_the_file(tmp_path: Path) -> None:
    blobs = Blobs.at(f"file:{tmp_path}")
    left = tmp_path / f"{(key := new_file_key())}#1"
    left.write_bytes(b"hal")
    await blobs.delete(key)
    assert not left.exists()


async def test_a_disk_that_is_gone_is_said_in_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blobs = Blobs.at(f"file:{tmp_path}/files")
    await blobs.put(key := new_file_key(), io.BytesIO(b"x"))
    shutil.rmtree(tmp_path / "files")
    (tmp_path / "files").write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="Files cannot be reached"):
        await blobs.put(new_file_key(), io.BytesIO(b"x"))
    with pytest.raises(StoreUnavailable):
        await blobs.stream(key)
    assert key not in caplog.text


async def test_an_s3_store_that_is_down_is_said_in_words(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    blobs = Blobs.at(f"s3://{BUCKET}")
    for call in (
        blobs.put(new_file_key(), io.BytesIO(b"x")),
        blobs.stream(new_file_key()),
        blobs.delete(new_file_key()),
    ):
        with pytest.raises(StoreUnavailable, match="try again"):
            await call


@pytest.mark.parametrize("url", ["ftp://x", "/srv/files", "file:/proc/none/files"])
def test_a_place_that_cannot_be_used_stops_the_start_and_names_the_setting(
    url: str, database_url: str
) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        create_app(Settings(database_url=database_url, chat_files_url=url, _env_file=None))
    assert explain(refused.value).startswith("CHAT_FILES_URL: ")  # type: ignore[arg-type]  # Pydantic's is one


async def test_a_place_is_not_asked_for_without_attachments(database_url: str) -> None:
    create_app(
        Settings(
            database_url=database_url,
            chat_files_url="file:/proc/none/files",
            chat_attachments="off",
            _env_file=None,
        )
    )


def test_a_store_without_tls_has_to_be_meant(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ALLOW_HTTP")
    with pytest.raises(ValueError, match="AWS_ALLOW_HTTP"):
        Blobs.at(f"s3://{BUCKET}")


async def test_files_go_to_s3_and_back_and_away_over_http(aws: str, database_url: str) -> None:
    async with house(database_url, chat_files_url=f"s3://{BUCKET}/http") as opened:
        alice = opened.alice
        sent = await alice.http.post("/chat/attachments", files={"file": ("a.png", PNG, "image/png")})
        direct: dict[str, Any] = sent.json()
        big = b"line of text\n" * 500_000
        announced = await alice.ask("attachments.create", name="a.txt", size=len(big), mime_type="text/plain")
        put = await alice.http.put(announced["upload_descriptor"]["url"], content=big)
        assert (sent.status_code, put.status_code) == (200, 200)
        both = [direct["id"], announced["id"]]
        events = await alice.stream("threads.create", input=user_input(attachments=both))
        image = events[1]["item"]["attachments"][0]
        assert (await alice.http.get(image["preview_url"])).content == PNG
        text = (await alice.http.get(f"/chat/attachments/{announced['id']}")).json()
        assert (await alice.http.get(text["url"])).content == big
        assert (await objects_in(aws, BUCKET)).count("<Key>http/") == 2

        await alice.ask("threads.delete", thread_id=events[0]["thread"]["id"])
        await opened.swept()
        assert "<Key>http/" not in await objects_in(aws, BUCKET)
        assert (await alice.http.get(text["url"])).status_code == 404
