"""The website: files that were built beforehand, beside the API and never in front of it."""

import base64
import hashlib
import os
import re
import stat
from functools import lru_cache
from pathlib import Path

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, Response
from starlette.types import Scope

# One with a type is data, like JSON-LD: browsers do not run it.
_INLINE_SCRIPT = re.compile(rb"<script(?![^>]*\s(?:src|type)=)[^>]*>(.*?)</script>", re.DOTALL)
_NOT_FOUND = 404
# Names in this folder hold a digest of what is in the file.
_DIGESTED = "assets/"
_FOR_GOOD = "public, max-age=31536000, immutable"
# Pages have the same names in every release; asking costs a 304.
_ASK = "no-cache"


class Site(StaticFiles):
    """A folder of pages, each of them at its address without `.html`. Have it answer what no route does.

    A page may run the site's own files, and the scripts that stand in it; nothing comes from elsewhere.
    For what is not there, a browser that looks for a page gets the site's 404 page, and anybody else the
    answer that other routes give, too.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file of the site. Raises HTTPException for what is not there."""
        try:
            response = await super().get_response(path, scope)
            response.headers["Cache-Control"] = _FOR_GOOD if path.startswith(_DIGESTED) else _ASK
        except HTTPException as error:
            response = self._not_found(error, scope)
            response.headers["Cache-Control"] = _ASK
        return response

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Find a file by its address: `.` is index.html, `docs/settings` is docs/settings.html."""
        if path == ".":
            return super().lookup_path("index.html")
        full_path, found = super().lookup_path(path)
        if found is None or stat.S_ISDIR(found.st_mode):
            return super().lookup_path(f"{path}.html")
        return full_path, found

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file with the policy it needs, or that it has not changed."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Content-Security-Policy"] = _policy_of(str(full_path), stat_result.st_mtime_ns)
        return response

    def _not_found(self, error: HTTPException, scope: Scope) -> Response:
        full_path, found = self.lookup_path("404.html")
        accepted = Headers(scope=scope).get("accept", "")
        if error.status_code != _NOT_FOUND or found is None or "text/html" not in accepted:
            raise error
        policy = _policy_of(full_path, found.st_mtime_ns)
        headers = {"Vary": "Accept", "Content-Security-Policy": policy}
        return FileResponse(full_path, _NOT_FOUND, headers, stat_result=found)


@lru_cache(maxsize=1000)
def _policy_of(full_path: str, _changed: int) -> str:
    """Return a policy under which a file does what it does, and nothing else runs."""
    scripts = ["'self'"]
    if full_path.endswith(".html"):
        for script in _INLINE_SCRIPT.findall(Path(full_path).read_bytes()):
            digest = base64.b64encode(hashlib.sha256(script).digest()).decode()
            scripts.append(f"'sha256-{digest}'")
    return (
        f"default-src 'self'; script-src {' '.join(scripts)}; "
        # Colours of code are attributes of its words; they can show things, and do nothing.
        "style-src 'self'; style-src-attr 'unsafe-inline'; "
        "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
