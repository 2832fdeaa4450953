"""The website: files that were built beforehand, beside the API and never in front of it."""

import base64
import hashlib
import os
import re
import stat
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
    """A folder of pages, each of them at its address without `.html`. Mount it behind all routes.

    Pages may run the site's own files, and the scripts that stood in pages when the server started;
    nothing comes from elsewhere. For what is not there, a browser that looks for a page gets the site's
    404 page, and anybody else the answer that other routes give, too.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self._policy = _policy_for(folder)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file of the site. Raises HTTPException for what is not there."""
        try:
            response = await super().get_response(path, scope)
            response.headers["Cache-Control"] = _FOR_GOOD if path.startswith(_DIGESTED) else _ASK
        except HTTPException as error:
            response = self._not_found(error, scope)
            response.headers["Cache-Control"] = _ASK
        response.headers["Content-Security-Policy"] = self._policy
        return response

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Find a file by its address: `.` is index.html, `docs/settings` is docs/settings.html."""
        if path == ".":
            return super().lookup_path("index.html")
        full_path, found = super().lookup_path(path)
        if found is None or stat.S_ISDIR(found.st_mode):
            return super().lookup_path(f"{path}.html")
        return full_path, found

    def _not_found(self, error: HTTPException, scope: Scope) -> Response:
        full_path, found = self.lookup_path("404.html")
        accepted = Headers(scope=scope).get("accept", "")
        if error.status_code != _NOT_FOUND or found is None or "text/html" not in accepted:
            raise error
        return FileResponse(full_path, _NOT_FOUND, {"Vary": "Accept"}, stat_result=found)


def _policy_for(folder: Path) -> str:
    """Return a policy under which the pages of a site do what they do, and nothing else runs."""
    digests = {
        base64.b64encode(hashlib.sha256(script).digest()).decode()
        for page in folder.rglob("*.html")
        for script in _INLINE_SCRIPT.findall(page.read_bytes())
    }
    scripts = " ".join(["'self'", *(f"'sha256-{digest}'" for digest in sorted(digests))])
    return (
        # Colours of code are attributes of its words; they can show things, and do nothing.
        f"default-src 'self'; script-src {scripts}; style-src 'self'; style-src-attr 'unsafe-inline'; "
        "img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
