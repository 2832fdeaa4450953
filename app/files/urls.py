"""CHAT_FILES_URL taken apart."""

import re
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

_LOCAL_HOSTS = ("", "localhost")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


class Bucket(NamedTuple):
    """A place in an S3-compatible store."""

    name: str
    prefix: str


def parse_files_url(url: str) -> Path | Bucket:
    """Return where the bytes of files are kept. Raises ValueError with what to write instead."""
    scheme, colon, rest = url.partition(":")
    if colon and scheme == "file":
        return _folder(rest)
    if colon and scheme == "s3" and rest.startswith("//"):
        bucket, _, prefix = rest[2:].partition("/")
        if _BUCKET.fullmatch(bucket) and not re.search("[?#@]", prefix):
            return Bucket(bucket, prefix.strip("/"))
        raise ValueError("not an S3 address; write it like s3://bucket/prefix, and keys into AWS_* variables")
    raise ValueError("write it like file:.data/files or s3://bucket/prefix")


def _folder(rest: str) -> Path:
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host not in _LOCAL_HOSTS or not slash:
            raise ValueError("a folder of this machine is written file:folder or file:///folder")
        rest = slash + path
    if not rest or "\x00" in unquote(rest):
        raise ValueError("it names no folder; write it like file:.data/files")
    return Path(unquote(rest))
