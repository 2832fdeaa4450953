"""Whatever fails: no secret and nothing that people wrote is in the logs, and they are still of use."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import asyncpg
import httpx
import pytest
from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.chat.server import HistoryServer
from app.database.failures import StatementFailed
from app.logs import SafeFormatter, configure_logs
from app.stores import NeonChatKitStore
from tests.contract.talk import begin, message
from tests.support.owners import Owner
from tests.support.processes import COMMAND, ROOT
from tests.support.responders import Failing
from tests.support.server import House, house, user_input

MARKER = "MyDiagnosisIs42"
Logged = Callable[[], str]


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Logged:
    """Return what returns all that was written to stderr, and to nowhere else."""

    def read() -> str:
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err

    return read


def talk_about_everything() -> None:
    """Log all that can be; a server begins with its own level."""
    configure_logs("debug")
    for name in ("uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logging.getLogger(name).setLevel(logging.DEBUG)


class Shape(BaseModel):
    """What a wrong value is checked against."""

    number: int


def failed_validation() -> ValidationError:
    with pytest.raises(ValidationError) as failed:
        Shape.model_validate({"number": MARKER})
    assert MARKER in str(failed.value)
    return failed.value


def chained() -> Exception:
    try:
        try:
            raise failed_validation()
        except ValidationError as error:
            raise ValueError(MARKER) from error
    except ValueError as error:
        return RuntimeError(ExceptionGroup("several", [error, KeyError(MARKER)]))


REQUEST = httpx.Request("GET", f"https://files.example/a?signature={MARKER}")
FAILURES: dict[str, Callable[[], Exception]] = {
    "of the responder": lambda: RuntimeError(f"cannot answer {MARKER}"),
    "validation": failed_validation,
    "chained": chained,
    "HTTP": lambda: httpx.ConnectError(f"no route to {REQUEST.url}", request=REQUEST),
    "HTTP status": lambda: httpx.HTTPStatusError(
        str(REQUEST.url), request=REQUEST, response=httpx.Response(500, request=REQUEST)
    ),
    "JSON": lambda: json.JSONDecodeError("bad", MARKER, 1),
    "Unicode": lambda: UnicodeEncodeError("ascii", MARKER, 0, 5, "not in range"),
    "driver": lambda: asyncpg.UniqueViolationError(f"Key (text)=({MARKER}) exists"),
    "group": lambda: ExceptionGroup(MARKER, [RuntimeError(MARKER)]),
}


@pytest.mark.parametrize("make", FAILURES.values(), ids=FAILURES)
async def test_an_answer_that_fails_with_the_message_in_its_error(
    database_url: str, logged: Logged, make: Callable[[], Exception]
) -> None:
    error = make()
    async with house(database_url, Failing(error)) as opened:
        talk_about_everything()
        alice = opened.alice
        events = await alice.stream("threads.create", input=user_input(f"Is it so that {MARKER}?"))
        assert events[-1]["type"] == "error"
    said = logged()
    assert type(error).__name__ in said
    # Where it happened is told, in files, lines and source.
    assert "tests/support/responders.py" in said
    assert "raise self._error" in said
    assert MARKER not in said


async def test_a_bug_in_a_request(database_url: str, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    async def process(*_: Any) -> None:
        raise RuntimeError(MARKER)

    monkeypatch.setattr(HistoryServer, "answer", process)
    async with house(database_url) as opened:
        talk_about_everything()
        assert (await opened.alice.post("threads.list")).status_code == 500
    said = logged()
    assert "POST /chatkit failed" in said
    assert said.count("Traceback") == 1
    assert MARKER not in said


async def test_requests_that_are_refused(database_url: str, logged: Logged) -> None:
    async with house(database_url, chat_max_message_bytes=10) as opened:
        talk_about_everything()
        alice = opened.alice
        for body in (
            b'{"' + MARKER.encode(),
            json.dumps({"type": MARKER}).encode(),
            json.dumps({"type": "threads.get_by_id", "params": {"thread_id": {MARKER: 1}}}).encode(),
            json.dumps({"type": "threads.create", "params": {"input": user_input(MARKER)}}).encode(),
        ):
            assert 400 <= (await alice.http.post("/chatkit", content=body)).status_code < 500
        bad = {"Authorization": f"Bearer {MARKER}", "Cookie": f"chat_session={MARKER}"}
        assert (await opened.client(bad).post("threads.list")).status_code == 401
    said = logged()
    assert "method=POST route=/chatkit status=400" in said
    assert MARKER not in said


async def test_a_row_that_the_database_refuses(database_url: str, logged: Logged) -> None:
    """PostgreSQL quotes the row, and the driver its values."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "ALTER TABLE chat_thread_items ADD CONSTRAINT polite CHECK (payload::text NOT LIKE '%Diagnosis%')"
    )
    await connection.close()
    async with house(database_url) as opened:
        talk_about_everything()
        events = await opened.alice.stream("threads.create", input=user_input(MARKER))
        assert events[-1]["type"] == "error"
        assert MARKER not in str(events[-1])
    said = logged()
    assert "CheckViolationError (23514), constraint polite" in said
    assert "Traceback" in said
    assert MARKER not in said


async def test_what_the_database_refuses_says_which_statement_and_why_and_no_value(
    engine: AsyncEngine, database_url: str, owner: Owner
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        "ALTER TABLE chat_thread_items ADD CONSTRAINT polite CHECK (payload::text NOT LIKE '%Diagnosis%')"
    )
    await connection.close()
    store = NeonChatKitStore[Owner](engine)
    await begin(store, owner)
    with pytest.raises(StatementFailed) as refused:
        await store.add_thread_item("thr_1", message("msg_1", MARKER), owner)
    error = refused.value
    assert (error.sqlstate, error.kind, error.constraint_name) == ("23514", "CheckViolationError", "polite")
    assert error.statement in str(error)
    assert error.__cause__ is None
    assert error.__suppress_context__
    assert MARKER not in f"{error} {error!r}"


async def test_an_access_line_has_no_query_string_and_stays_one_line(
    database_url: str, logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(database_url) as opened:
        talk_about_everything()
        http = opened.client().http
        assert (await http.get(f"/chat/threads?signature={MARKER}&more=1")).status_code == 200
        assert (await http.get(f"/%0aforged%1b?token={MARKER}")).status_code == 404
    lines = logged().splitlines()
    assert [line for line in lines if "method=GET route=/chat/threads status=200" in line]
    assert not [line for line in lines if line.startswith("forged")]
    assert not [line for line in lines if MARKER in line]
    # For handlers of others as well.
    assert "app.api.watching" in caplog.text
    assert MARKER not in caplog.text


async def test_the_command_logs_to_stderr_in_one_form(database_url: str) -> None:
    environment = {"DATABASE_URL": database_url, "LOG_LEVEL": "debug", "CHAT_RESPONDER": "echo"}
    # How slow the machine is, is nothing to warn of.
    environment["CHAT_SLOW_CALL_SECONDS"] = "60"
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, "serve", "--port", "0"),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    lines: list[str] = []

    async def until(text: str) -> str:
        async with asyncio.timeout(60):
            while not lines or text not in lines[-1]:
                line = await process.stderr.readline()  # type: ignore[union-attr]  # see above
                assert line, lines
                lines.append(line.decode().rstrip())
        return lines[-1]

    try:
        url = (await until("Uvicorn running on ")).partition("running on ")[2].split()[0]
        async with httpx.AsyncClient(base_url=url) as http:
            body = {"type": "threads.create", "params": {"input": user_input(MARKER)}}
            assert (await http.post(f"/chatkit?token={MARKER}", json=body)).status_code == 200
        await until("route=/chatkit status=200")
        process.terminate()
        lines += (await asyncio.wait_for(process.stderr.read(), 60)).decode().splitlines()
        assert await process.stdout.read() == b""
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
    assert all(line[:4].isdecimal() and " INFO " in line for line in lines), lines
    assert MARKER not in "\n".join(lines)


def test_what_others_put_into_a_line_is_cut_as_well(logged: Logged, caplog: pytest.LogCaptureFixture) -> None:
    """The SDK logs an exception as the message; asyncio, a task with its exception; pydantic, a value."""
    talk_about_everything()
    error = RuntimeError(MARKER)
    logging.getLogger("chatkit").error(error)
    logging.getLogger("chatkit").warning("unknown question id(s), ignoring: %s", MARKER)
    logging.getLogger("asyncio").error("never retrieved\nfuture: <Task exception=%r>", error)
    logging.getLogger("py.warnings").warning("%s", f"page.py:1: UserWarning: serializer\n  {MARKER}")
    logging.getLogger("app.x").warning("It failed: %s", error)
    logging.getLogger("httpx").info("GET %s", MARKER)
    said = logged()
    for kept in ("ERROR chatkit: RuntimeError", "never retrieved", "serializer", "It failed: RuntimeError"):
        assert kept in said
    assert MARKER not in said
    assert "It failed" in caplog.text


def test_errors_about_the_program_and_the_machine_keep_their_words(logged: Logged) -> None:
    configure_logs("info")
    for error in (
        FileNotFoundError(2, "No such file", "settings"),
        AttributeError("'Turn' object has no attribute 'sya'"),
        ImportError("No module named 'nothing'"),
    ):
        logging.getLogger("app.x").error("It failed", exc_info=error)
    said = logged()
    for words in ("No such file: 'settings'", "no attribute 'sya'", "No module named"):
        assert words in said


def test_an_exception_that_another_handler_has_rendered_is_rendered_again(logged: Logged) -> None:
    configure_logs("info")
    record = logging.LogRecord("app.x", logging.ERROR, "x.py", 1, "It failed", None, None)
    error = RuntimeError(MARKER)
    record.exc_info = (RuntimeError, error, None)
    record.exc_text = f"RuntimeError: {MARKER}"
    logging.getLogger("app.x").handle(record)
    said = logged()
    assert "RuntimeError" in said
    assert MARKER not in said
    assert record.exc_text == f"RuntimeError: {MARKER}"


def test_a_line_that_does_not_fit_its_values_is_not_printed_with_them(logged: Logged) -> None:
    configure_logs("info")
    # Past pytest's own handler, which is told to raise.
    record = logging.LogRecord("app.x", logging.ERROR, "x.py", 1, "%d", (MARKER,), None)
    (handler,) = (one for one in logging.getLogger().handlers if isinstance(one.formatter, SafeFormatter))
    handler.handle(record)
    assert logged() == "A log line of app.x:1 cannot be written\n"


def test_configuring_again_does_not_write_twice(logged: Logged) -> None:
    for _ in range(3):
        configure_logs("info")
    logging.getLogger("app.x").info("Once")
    logging.getLogger("app.x").debug("Never")
    said = logged()
    assert said.count("Once") == 1
    assert "Never" not in said


def test_nothing_that_is_logged_can_look_like_a_line_of_its_own(logged: Logged) -> None:
    configure_logs("info")
    logging.getLogger("app.x").warning("a\n2026-01-01 INFO b\r\x1b[2J%s", "\x85")
    lines = logged().splitlines()
    assert len(lines) == 2
    assert lines[1] == "    2026-01-01 INFO b\\x0d\\x1b[2J\\x85"


async def test_a_refusal_is_not_logged_as_a_failure(echo_house: House, logged: Logged) -> None:
    alice = echo_house.alice
    for kind in ("threads.get_by_id", "threads.add_user_message", "threads.retry_after_item"):
        refused = await alice.post(kind, thread_id="thr_0", item_id="msg_0", input=user_input())
        assert refused.status_code == 404
    assert "Traceback" not in logged()
