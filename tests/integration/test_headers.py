"""What every response tells the browser, errors and preflights included."""

import base64
import hashlib
import re
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from app.api.headers import SecurityHeaders
from app.chat.server import HistoryServer
from tests.support.server import House, house, user_input

ORIGIN = "https://site.example"
EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def assert_safe(response: httpx.Response) -> dict[str, str]:
    """Check what holds everywhere, and return the policy by directive."""
    for name, value in EVERYWHERE.items():
        assert response.headers.get_list(name) == [value], name
    assert "camera=()" in response.headers["permissions-policy"]
    (policy,) = response.headers.get_list("content-security-policy")
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["frame-ancestors"] == "'none'"
    assert "server" not in response.headers
    return directives


def assert_data(response: httpx.Response, status: int) -> None:
    """Check the headers of an answer that no browser shows as a page."""
    assert response.status_code == status, response.text
    assert assert_safe(response)["default-src"] == "'none'"
    assert response.headers.get_list("cache-control") == ["no-store"]


async def test_answers_and_refusals_of_every_kind_have_them(shared_house: House) -> None:
    alice, http = shared_house.alice, shared_house.client().http
    assert_data(await alice.post("threads.list"), 200)
    assert_data(await alice.post("threads.create", input=user_input()), 200)
    assert_data(await alice.http.post("/chatkit", content=b"{"), 400)
    assert_data(await http.post("/chatkit", headers={"Authorization": "Bearer x"}), 401)
    assert_data(await alice.post("threads.get_by_id", thread_id="thr_0"), 404)
    assert_data(await http.get("/nothing/here"), 404)
    assert_data(await http.post("/healthz"), 405)
    assert_data(await alice.http.post("/chatkit", content=b" " * 2_000_000), 413)
    for path in ("/healthz", "/readyz", "/openapi.json"):
        assert_data(await http.get(path), 200)


async def test_an_answer_to_a_bug_has_them_and_can_be_read_by_a_page_elsewhere(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def process(*_: Any) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(HistoryServer, "answer", process)
    async with house(database_url, cors_allowed_origins=ORIGIN) as opened:
        alice = opened.alice
        alice.http.headers["Origin"] = ORIGIN
        response = await alice.post("threads.list")
        assert_data(response, 500)
        assert response.json()["error"]["code"] == "internal"
        assert "unexpected" not in response.text
        assert response.headers["access-control-allow-origin"] == ORIGIN


async def test_a_preflight_has_them(database_url: str) -> None:
    async with house(database_url, cors_allowed_origins=ORIGIN) as opened:
        for origin, status in ((ORIGIN, 200), ("https://evil.example", 400)):
            ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
            assert_data(await opened.client().http.options("/chatkit", headers=ask), status)


async def test_the_described_routes_run_the_script_of_that_page_and_no_other(shared_house: House) -> None:
    response = await shared_house.client().http.get("/api/docs")
    assert response.status_code == 200
    (script,) = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    directives = assert_safe(response)
    assert f"'sha256-{digest}'" in directives["script-src"]
    assert "unsafe" not in directives["script-src"]
    allowed = re.findall(r"https://\S+", directives["script-src"])
    for address in re.findall(r'(?:src|href)="(https:[^"]+)"', response.text):
        assert address.startswith(tuple(allowed))
    assert "url: '/openapi.json'" in script


async def test_browsers_are_held_to_https_only_when_they_came_by_it(shared_house: House) -> None:
    http = shared_house.client().http
    assert "strict-transport-security" not in (await http.get("/healthz")).headers
    forwarded = await http.get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert forwarded.headers["strict-transport-security"].startswith("max-age=")


async def test_a_header_that_a_route_has_set_is_left_as_it_is() -> None:
    own = {
        b"Content-Security-Policy": b"sandbox",
        b"cross-origin-resource-policy": b"cross-origin",
        b"CACHE-CONTROL": b"private, max-age=60",
    }

    async def file(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(own.items())})

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await SecurityHeaders(file)({"type": "http", "scheme": "http"}, receive, send)
    names = [name.lower() for name, _ in sent[0]["headers"]]
    assert len(names) == len(set(names))
    headers = dict(sent[0]["headers"])
    assert {name: headers[name] for name in own} == own
    assert headers[b"x-content-type-options"] == b"nosniff"
