"""A Better Auth server in a process of its own: the folder `auth-server`, run by Node.js."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from app.database.embedded_process import wait_until
from app.demo.failure import AuthServerError
from app.demo.node import AGAIN, node
from app.shipped import shipped

__all__ = ["AuthServer", "AuthServerError"]

_HOST = "127.0.0.1"
_LISTENS = re.compile(rf"^auth-server listens on (http://{re.escape(_HOST)}:\d+)$", re.MULTILINE)
_START_SECONDS = 60.0
_STOP_SECONDS = 15.0
_LOG_LIMIT = 5_000_000


class AuthServer:
    """Accounts with e-mail and password, and JWTs for those who are signed in.

    It makes its tables in the database, listens on a free port of 127.0.0.1, and ends with its owner,
    however that ends. `public_url` is the origin by which browsers reach it (through a proxy): the issuer
    and the audience of its tokens. `folder` holds its code and packages, those of the checkout unless
    given. The calls block; in async code run them in a thread.
    """

    def __init__(
        self,
        *,
        database_url: str,
        public_url: str,
        secret: str,
        log: Path,
        folder: Path | None = None,
        trusted_origins: Sequence[str] = (),
        token_seconds: int = 900,
    ) -> None:
        self.public_url = public_url
        self._environment = {
            # Nothing else of this process's: BETTER_AUTH_SECRETS and its like would be taken for settings.
            "PATH": os.environ.get("PATH", os.defpath),
            "DATABASE_URL": database_url,
            "AUTH_URL": public_url,
            "AUTH_SECRET": secret,
            "AUTH_TRUSTED_ORIGINS": ",".join(trusted_origins),
            "AUTH_TOKEN_SECONDS": str(token_seconds),
            "AUTH_EXIT_WITH_STDIN": "1",
            "HOST": _HOST,
            "PORT": "0",
        }
        self._log = log
        self._folder = folder or shipped("auth-server")
        self._process: subprocess.Popen[bytes] | None = None
        self._url: str | None = None

    @property
    def url(self) -> str:
        """Where it listens.

        Raises:
            AuthServerError: it was not started.
        """
        if self._url is None:
            raise AuthServerError("The auth server is not started. Call start() first.")
        return self._url

    @property
    def jwks_url(self) -> str:
        """Where it publishes the keys of its tokens."""
        return f"{self.url}/api/auth/jwks"

    def start(self) -> None:
        """Return when it answers.

        Raises:
            AuthServerError: Node.js or the server's packages are missing, or it did not start.
        """
        command = [self._node(), "server.mjs"]
        self._log.touch(0o600)
        with self._log.open("ab") as log:
            if log.tell() > _LOG_LIMIT:
                log.truncate(0)
            before = log.seek(0, os.SEEK_END)
            process = subprocess.Popen(  # noqa: S603 - our own server, without a shell
                command,
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.PIPE,  # Its end tells the server that this process is gone.
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the owner's, who may still need it.
            )
        self._process = process
        wait_until(lambda: process.poll() is not None or self._address(before) is not None, _START_SECONDS)
        self._url = self._address(before)
        if self._url is None:
            self.stop()
            raise AuthServerError(
                f"The auth server did not start. Its log {self._log} ends with:\n{self._said(before)[-1000:]}"
            )

    def stop(self) -> None:
        """End the server; return when its process is gone. Does nothing on a stopped one."""
        if self._process is None:
            return
        with self._process as process:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        self._process = self._url = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _address(self, before: int) -> str | None:
        found = _LISTENS.search(self._said(before))
        return found[1] if found else None

    def _said(self, before: int) -> str:
        with self._log.open("rb") as log:
            log.seek(before)
            return log.read().decode(errors="replace")

    def _node(self) -> str:
        program = node()
        if not (self._folder / "node_modules").is_dir():
            raise AuthServerError(f"The packages of the auth server are not installed. {AGAIN.capitalize()}")
        return program
