"""What the server needs beside the database: the issuer's keys, Redis, and a place for files."""

import tempfile

import httpx
import jwt
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, RedisError

from app.doctor.finding import Finding, ok, problem
from app.errors import IssuerUnavailable, StoreUnavailable
from app.files.blobs import Blobs, new_file_key
from app.identity.bearer import ALGORITHMS
from app.identity.jwks import PublishedKeys
from app.settings import Settings

_SECONDS = 3.0


async def issuer(settings: Settings) -> Finding | None:
    """Say whether sign-in tokens can be checked; None when nobody issues any."""
    title = "AUTH_JWKS_URL"
    if settings.auth_jwks_url is None:
        return None
    try:
        async with httpx.AsyncClient(timeout=_SECONDS) as client:
            response = await client.get(settings.auth_jwks_url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return problem(title, f"does not answer ({type(error).__name__}): nobody can sign in. Is it right?")
    if response.status_code != httpx.codes.OK:
        return problem(title, f"answers with status {response.status_code}: nobody can sign in. Is it right?")
    if not await _has_keys(settings.auth_jwks_url):
        wanted = ", ".join(ALGORITHMS)
        return problem(title, f"answers with no key of these kinds: {wanted}. Have the issuer sign with one")
    return ok(title, "answers, with keys that this server can use")


async def _has_keys(url: str) -> bool:
    """Ask as the server does, for a key that nobody has: the answer differs with whether there are others."""
    header = jwt.utils.base64url_encode(b'{"alg": "EdDSA", "kid": "of-no-key"}').decode()
    keys = PublishedKeys(url)
    try:
        await keys.key_for(f"{header}.e30.")
    except IssuerUnavailable:
        return False
    except jwt.PyJWTError:
        return True
    finally:
        await keys.aclose()
    return True


async def redis(settings: Settings) -> Finding | None:
    """Say whether processes can count together; None when they are not to."""
    title = "REDIS_URL"
    if settings.redis_url is None:
        return None
    client = Redis.from_url(settings.redis_url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS)
    # Never the error's words: they may hold what is in the URL.
    try:
        await client.ping()
    except AuthenticationError:
        return problem(title, "the password or the user name in it is wrong")
    except (RedisError, OSError, ValueError) as error:
        return problem(
            title, f"does not answer ({type(error).__name__}); each process counts its own requests meanwhile"
        )
    finally:
        await client.aclose()
    return ok(title, "answers")


async def files(settings: Settings) -> Finding | None:
    """Say whether files can be written, read and removed, by doing so; None when messages carry none."""
    title = "CHAT_FILES_URL"
    if settings.chat_attachments == "off":
        return None
    key = new_file_key()
    try:
        blobs = Blobs.at(settings.chat_files_url)
        with tempfile.TemporaryFile() as file:
            file.write(key.encode())
            await blobs.put(key, file)
        back = b"".join([chunk async for chunk in await blobs.stream(key)])
        await blobs.delete(key)
    except ValueError as error:
        return problem(title, str(error))
    except StoreUnavailable as error:
        kind = type(error.__cause__).__name__
        return problem(
            title, f"does not take files ({kind}). Check the place, and the keys in AWS_* variables"
        )
    if back != key.encode():
        return problem(title, "gave back another file than was put there")
    return ok(title, "takes files, gives them back, and removes them")
