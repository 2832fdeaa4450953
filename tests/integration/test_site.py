"""The website beside the API: pages at their addresses, what browsers may run and keep, no route hidden."""

import base64
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.integration.test_headers import assert_data, assert_safe
from tests.support.postgres import Databases
from tests.support.server import house

SCRIPT = 'document.documentElement.setAttribute("data-theme", "dark")'
PAGE = (
    "<!doctype html><title>{title}</title><script src=/assets/js/main.1f2e.js defer></script>"
    f"<script>{SCRIPT}</script>"
)
A_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a site; some of its pages have the addresses of routes."""
    site = tmp_path_factory.mktemp("website") / "build"
    files = {
        "index.html": PAGE.format(title="Home"),
        "404.html": PAGE.format(title="Not here"),
        "docs/settings.html": PAGE.format(title="Settings")
        + '<script type=application/ld+json>{"@context":"https://schema.org"}</script>',
        "assets/js/main.1f2e.js": "console.log(1)",
        "healthz": "a page",
        "chat/threads.html": "a page",
        "api/docs.html": "a page",
    }
    for name, content in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(content)
    (site.parent / "secret.html").write_text("outside")
    return site


@pytest_asyncio.fixture(scope="module")
async def http(databases: Databases, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with databases.fresh() as url, house(url, site=folder) as opened:
        yield opened.client().http


@pytest.mark.parametrize(
    ("address", "title"),
    [
        ("/", "Home"),
        ("/?q=1", "Home"),
        ("/docs/settings", "Settings"),
        ("/docs/settings/", "Settings"),
        ("/docs/settings.html", "Settings"),
    ],
)
async def test_pages_are_at_their_addresses(http: httpx.AsyncClient, address: str, title: str) -> None:
    response = await http.get(address)
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<title>{title}</title>" in response.text
    assert response.headers["cache-control"] == "no-cache"
    again = await http.get(address, headers={"If-None-Match": response.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    for answer in (response, again):
        assert_safe(answer)
    head = await http.head(address)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == response.headers["content-length"]


async def test_pages_run_their_own_scripts_and_nothing_from_elsewhere(http: httpx.AsyncClient) -> None:
    directives = assert_safe(await http.get("/docs/settings"))
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert directives["script-src"] == f"'self' 'sha256-{digest}'"
    assert directives["default-src"] == directives["style-src"] == "'self'"
    for name in ("object-src", "base-uri", "form-action"):
        assert directives[name] == "'none'"
    assert "http" not in str(directives)


async def test_a_site_that_is_built_anew_meanwhile_runs(http: httpx.AsyncClient, folder: Path) -> None:
    page = folder / "docs" / "anew.html"
    page.write_text("<script>first()</script>")
    first = assert_safe(await http.get("/docs/anew"))["script-src"]
    page.write_text("<script>second()</script>")
    os.utime(page, ns=(0, page.stat().st_mtime_ns + 1_000_000))
    second = assert_safe(await http.get("/docs/anew"))["script-src"]
    assert len({first, second, "'self'"}) == 3


async def test_files_with_a_digest_in_their_name_are_kept_for_good(http: httpx.AsyncClient) -> None:
    response = await http.get("/assets/js/main.1f2e.js")
    assert response.headers["content-type"].startswith("text/javascript")
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    missing = await http.get("/assets/js/main.0000.js")
    assert missing.status_code == 404
    assert_data(missing, 404)


async def test_a_browser_that_looks_for_a_page_gets_the_sites_own_404(http: httpx.AsyncClient) -> None:
    for address in ("/docs/nothing", "/docs", "/assets/js/", "/chat/nothing"):
        response = await http.get(address, headers=A_BROWSER)
        assert response.status_code == 404
        assert "<title>Not here</title>" in response.text
        assert response.headers["cache-control"] == "no-cache"
        assert response.headers["vary"] == "Accept"
        assert_safe(response)


async def test_a_program_gets_a_404_as_from_any_route(http: httpx.AsyncClient) -> None:
    for address in ("/docs/nothing", "/chat/nothing", "/chatkit/nothing", "/api/nothing"):
        response = await http.get(address)
        assert_data(response, 404)
        assert response.json()["error"]["code"] == "not_found"
    for answer in (await http.post("/"), await http.delete("/docs/settings", headers=A_BROWSER)):
        assert_data(answer, 405)


async def test_no_page_stands_in_front_of_a_route(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz", headers=A_BROWSER)).json() == {"status": "ok"}
    assert (await http.get("/chat/threads", headers=A_BROWSER)).json()["data"] == []
    assert "swagger" in (await http.get("/api/docs", headers=A_BROWSER)).text
    for method, address, allowed in (("HEAD", "/healthz", "GET"), ("PATCH", "/chatkit", "POST")):
        response = await http.request(method, address)
        assert response.status_code == 405
        assert response.headers["allow"] == allowed


@pytest.mark.parametrize(
    "address",
    ["/..%2fsecret", "/%2e%2e/secret.html", "/docs/..%2f..%2fsecret.html", "/%2fetc%2fpasswd", "/a%00b"],
)
async def test_nothing_outside_of_the_site_is_served(http: httpx.AsyncClient, address: str) -> None:
    response = await http.get(address)
    assert_data(response, 404)
    assert "outside" not in response.text
