"""Answers of a language model, over both APIs: what is asked, shown and kept."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agents.tracing import TracingProcessor, set_trace_processors

from app.agent.documents import MOST_SEARCHES
from app.agent.responder import WITHOUT_DOCUMENTS
from app.chat.context import ChatContext
from app.chat.offline import OfflineTutor
from app.retrieval.passages import Passage
from tests.support.events import device
from tests.support.files import PDF, PNG
from tests.support.keyed import until, upload
from tests.support.model_server import ModelServer, Reply, failure, model_server, text_in, whole
from tests.support.model_shapes import ChatCompletions, Dialect, Responses
from tests.support.postgres import Databases
from tests.support.server import House, house, user_input
from tests.support.tutors import BOOK, KEY, SETTINGS, Shelf, tutors_house

DIALECTS = [Responses(), ChatCompletions()]


@pytest_asyncio.fixture(params=DIALECTS, ids=lambda dialect: dialect.name)
async def model(request: pytest.FixtureRequest) -> AsyncIterator[ModelServer]:
    """Yield a model of each kind."""
    async with model_server(request.param) as opened:
        yield opened


@pytest_asyncio.fixture
async def opened(database_url: str, model: ModelServer) -> AsyncIterator[House]:
    """Yield a server that asks the model."""
    async with tutors_house(database_url, model) as opened:
        yield opened


def kinds(items: list[dict[str, Any]]) -> list[str]:
    return [item["type"] for item in items]


def deltas(events: list[dict[str, Any]]) -> list[str]:
    updates = [event["update"] for event in events if event["type"] == "thread.item.updated"]
    return [update["delta"] for update in updates if update["type"].endswith("text_delta")]


async def test_an_answer_is_streamed_and_stored_with_what_was_thought(
    opened: House, model: ModelServer
) -> None:
    model.will(model.says.said("It ", "depends.", thought="Hard to say"))
    alice = opened.alice
    events = await alice.stream("threads.create", input=user_input("Is it so?"))
    assert deltas(events) == ["It ", "depends."]
    items = await alice.items(events[0]["thread"]["id"])
    assert kinds(items) == ["user_message", "workflow", "assistant_message"]
    assert items[1]["workflow"]["type"] == "reasoning"
    assert [task["content"] for task in items[1]["workflow"]["tasks"]] == ["Hard to say"]
    assert items[2]["content"][0]["text"] == "It depends."
    done = [event["item"] for event in events if event["type"] == "thread.item.done"]
    assert [item["id"] for item in done] == [item["id"] for item in items]
    assert model.asked[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thoughts_are_shown_as_they_come_whatever_a_server_calls_them(
    database_url: str, field: str
) -> None:
    says = ChatCompletions(field)
    async with model_server(says) as model, tutors_house(database_url, model) as opened:
        model.will(says.said("Yes.", thought="Hard to say"))
        events = await opened.alice.stream("threads.create", input=user_input("Is it so?"))
        items = await opened.alice.items(events[0]["thread"]["id"])
    updates = [event["update"] for event in events if event["type"] == "thread.item.updated"]
    thoughts = [update["task"]["content"] for update in updates if "task" in update]
    assert thoughts[0] == "Hard "
    assert [task["content"] for task in items[1]["workflow"]["tasks"]] == ["Hard to say"]


async def test_settings_alone_make_a_server_that_asks_a_model(
    database_url: str, model: ModelServer, tmp_path: Path
) -> None:
    """Also one that wants no key."""
    wanted: dict[str, Any] = {
        "openai_base_url": model.url,
        "openai_model": "m",
        "openai_api": model.says.name,
    }
    async with house(database_url, chat_responder="openai", chat_index=tmp_path, **wanted) as opened:
        assert await opened.alice.texts(await opened.alice.create("Hello?")) == ["Hello?", "Fine."]
        visitor = opened.client()
        assert await visitor.texts(await visitor.create("Hello?")) == ["Hello?", "Fine."]
    assert model.asked[0].body["model"] == "m"


async def test_what_was_said_before_is_given_to_the_model(opened: House, model: ModelServer) -> None:
    model.will(model.says.said("One."), model.says.said("Two."))
    alice = opened.alice
    thread_id = await alice.create("First?")
    await alice.add(thread_id, "Second?")
    await alice.add(thread_id, "Third?")
    assert [(part["role"], part["content"]) for part in model.asked[2].input] == [
        ("user", "First?"),
        ("assistant", "One."),
        ("user", "Second?"),
        ("assistant", "Two."),
        ("user", "Third?"),
    ]


async def test_ids_that_repeat_overwrite_nothing(opened: House, model: ModelServer) -> None:
    """Every message of this model has the same id, the one of other servers a placeholder."""
    model.will(*(model.says.said(f"Answer {number}", item_id="msg_1") for number in range(3)))
    alice = opened.alice
    thread_id = await alice.create("0")
    await alice.add(thread_id, "1")
    await alice.add(thread_id, "2")
    assert await alice.texts(thread_id) == ["0", "Answer 0", "1", "Answer 1", "2", "Answer 2"]
    ids = [item["id"] for item in await alice.items(thread_id)]
    assert len(set(ids)) == 6
    assert not {"msg_1", "__fake_id__"} & set(ids)


async def test_a_message_cannot_be_overwritten_by_an_id_that_the_model_chose(
    database_url: str,
) -> None:
    """The id of the user's own message, for one."""
    async with model_server(Responses()) as model, tutors_house(database_url, model) as opened:
        alice = opened.alice
        thread_id = await alice.create("Keep me")
        mine = (await alice.items(thread_id))[0]["id"]
        model.will(model.says.said("Mine now", item_id=mine))
        await alice.add(thread_id, "And me")
        assert await alice.texts(thread_id) == ["Keep me", "Fine.", "And me", "Mine now"]


async def test_a_refusal_of_the_model_is_an_answer(opened: House, model: ModelServer) -> None:
    model.will(model.says.refused("I cannot ", "help with that."))
    alice = opened.alice
    events = await alice.stream("threads.create", input=user_input("Something bad"))
    assert "error" not in {event["type"] for event in events}
    assert "".join(deltas(events)) == "I cannot help with that."
    assert await alice.texts(events[0]["thread"]["id"]) == ["Something bad", "I cannot help with that."]


async def test_text_that_utf_8_or_json_cannot_hold_reaches_the_model_as_something(
    database_url: str, model: ModelServer
) -> None:
    shelf = Shelf(Passage("half \ud800 a pair", "Odd \udfff", None, 1.0))
    async with tutors_house(database_url, model, shelf) as opened:
        events = await opened.alice.stream("threads.create", input=user_input("a\x00b"))
    assert "error" not in {event["type"] for event in events}
    assert "half ? a pair" in model.asked[0].text


@pytest.mark.parametrize("call_id", ["call_1", ""])
async def test_calls_of_tools_are_told_apart_whatever_their_ids(
    database_url: str, model: ModelServer, call_id: str
) -> None:
    """Some servers begin to count anew in each round, or send no ids at all."""
    shelf = Shelf(SETTINGS)
    questions = ["pool size", "pool names"]
    model.will(*(model.says.searched(question, call_id=call_id) for question in questions))
    async with tutors_house(database_url, model, shelf) as opened:
        thread_id = await opened.alice.create("Pool?")
        assert (await opened.alice.texts(thread_id)) == ["Pool?", "Fine."]
    assert shelf.asked == ["Pool?", *questions]
    given = json.dumps(model.asked[2].body)
    assert all(given.count(question) == 1 for question in questions)


async def test_characters_that_are_cut_in_halves_are_joined(database_url: str, model: ModelServer) -> None:
    said = model.says.said("A smile \ud83d", "\ude00 and\x00 ", "half\ud83d", thought="Hm \ud83d")
    model.will(said)
    async with tutors_house(database_url, model, Shelf(SETTINGS)) as opened:
        events = await opened.alice.stream("threads.create", input=user_input("Is it so?"))
        items = await opened.alice.items(events[0]["thread"]["id"])
    assert "".join(deltas(events)) == "A smile \U0001f600 and\x00 half"
    assert items[-1]["content"][0]["text"] == "A smile \U0001f600 and\x00 half\ufffd"


class Torn(Shelf):
    """Documents that fail in a way that nobody foresaw."""

    async def search(self, question: str, *, limit: int) -> list[Passage]:
        raise KeyError(question)


async def test_documents_that_fail_in_whatever_way_do_not_cost_the_answer(
    database_url: str, model: ModelServer
) -> None:
    async with tutors_house(database_url, model, Torn()) as opened:
        assert await opened.alice.texts(await opened.alice.create("Pool?")) == [
            "Pool?",
            WITHOUT_DOCUMENTS,
            "Fine.",
        ]
    async with house(database_url, OfflineTutor(Torn())) as opened:
        said = await opened.alice.texts(await opened.alice.create("Pool?"))
    assert "cannot be reached" in said[-1]


async def test_a_model_searches_so_often_and_no_more(database_url: str) -> None:
    """Each search costs time and input; somebody may talk a model into thousands."""
    says, shelf = Responses(), Shelf(SETTINGS)
    async with model_server(says) as model, tutors_house(database_url, model, shelf) as opened:
        model.will(says.called(*(f"pool {number} " + "x" * 5_000 for number in range(50))))
        thread_id = await opened.alice.create("Pool?")
        items = await opened.alice.items(thread_id)
    assert len(shelf.asked) == 1 + MOST_SEARCHES
    assert items[-1]["content"][0]["text"] == "Fine."
    shown = [task for item in items if item["type"] == "workflow" for task in item["workflow"]["tasks"]]
    assert len(shown) == 1 + MOST_SEARCHES
    assert max(len(task["queries"][0]) for task in shown) <= 2_000
    outputs = [part for part in model.asked[1].input if part["type"] == "function_call_output"]
    assert len(outputs) == 50


class TestDocuments:
    """What the documents say goes to the model, and its sources to the reader."""

    async def test_passages_are_given_and_cited(self, database_url: str, model: ModelServer) -> None:
        model.will(model.says.said("It is 10 [sour", "ce 1], as books", " say [source 2]", "."))
        shelf = Shelf(SETTINGS, BOOK)
        where = {"chat_public_url": "https://a.example"}
        async with tutors_house(database_url, model, shelf, **where) as opened:
            events = await opened.alice.stream("threads.create", input=user_input("How large?"))
            items = await opened.alice.items(events[0]["thread"]["id"])
        assert shelf.asked == ["How large?"]
        assert SETTINGS.text in model.asked[0].text
        assert kinds(items) == ["user_message", "workflow", "assistant_message"]
        [task] = items[1]["workflow"]["tasks"]
        assert [source["url"] for source in task["sources"]] == ["https://a.example/docs/settings#pool"]
        content = items[2]["content"][0]
        assert content["text"] == "".join(deltas(events)) == "It is 10, as books say."
        first, second = content["annotations"]
        assert first["index"] == len("It is 10")
        assert first["source"]["title"] == "Settings"
        assert first["source"]["url"] == "https://a.example/docs/settings#pool"
        assert (second["source"]["type"], second["source"]["title"]) == ("file", "The Book of Pools")
        added = [event["update"] for event in events if "annotation" in event.get("update", {})]
        assert [update["annotation"]["index"] for update in added] == [first["index"], second["index"]]

    async def test_what_is_only_near_is_given_as_such_and_not_shown_as_found(
        self, database_url: str, model: ModelServer
    ) -> None:
        near = Passage("Pools hold water.", "Swimming", "/docs/swimming", 0.1, is_doubtful=True)
        async with tutors_house(database_url, model, Shelf(near)) as opened:
            items = await opened.alice.items(await opened.alice.create("How large?"))
        assert '"doubtful": true' in model.asked[0].text
        assert kinds(items) == ["user_message", "assistant_message"]

    async def test_the_model_may_search_and_its_search_is_shown(
        self, database_url: str, model: ModelServer
    ) -> None:
        called = model.says.searched("pool sizes", thought="Let me look")
        model.will(called, model.says.said("It is 10 [source 1]."))
        shelf = Shelf(SETTINGS, word="pool")
        async with tutors_house(database_url, model, shelf) as opened:
            events = await opened.alice.stream("threads.create", input=user_input("How many at once?"))
            items = await opened.alice.items(events[0]["thread"]["id"])
        assert "error" not in {event["type"] for event in events}
        assert shelf.asked == ["How many at once?", "pool sizes"]
        assert kinds(items) == ["user_message", "workflow", "assistant_message"]
        tasks = items[1]["workflow"]["tasks"]
        assert [task["type"] for task in tasks] == ["thought", "web_search"]
        assert (tasks[1]["queries"], tasks[1]["status_indicator"]) == (["pool sizes"], "complete")
        assert items[2]["content"][0]["text"] == "It is 10."
        assert items[2]["content"][0]["annotations"][0]["source"]["url"] == "/docs/settings#pool"
        assert SETTINGS.text not in str(model.asked[0].input)
        assert SETTINGS.text in str(model.asked[1].input)

    async def test_documents_that_cannot_be_asked_are_done_without_and_the_answer_says_so(
        self, database_url: str, model: ModelServer
    ) -> None:
        shelf = Shelf(SETTINGS)
        shelf.is_gone = True
        async with tutors_house(database_url, model, shelf) as opened:
            texts = await opened.alice.texts(await opened.alice.create("How large?"))
        assert texts == ["How large?", WITHOUT_DOCUMENTS, "Fine."]
        assert "tools" not in model.asked[0].body or not model.asked[0].body["tools"]

    async def test_documents_that_are_lost_on_the_way_are_told_of_once(
        self, database_url: str, model: ModelServer
    ) -> None:
        model.will(model.says.searched("more"), model.says.searched("again"), model.says.said("From memory."))
        shelf = Shelf(SETTINGS)
        shelf.lost_after = 1
        async with tutors_house(database_url, model, shelf) as opened:
            texts = await opened.alice.texts(await opened.alice.create("How large?"))
        assert texts == ["How large?", "From memory.", WITHOUT_DOCUMENTS]

    async def test_a_model_that_has_no_tools_is_given_none(
        self, database_url: str, model: ModelServer
    ) -> None:
        async with tutors_house(database_url, model, Shelf(SETTINGS), openai_tools="off") as opened:
            await opened.alice.create("How large?")
        assert not model.asked[0].body.get("tools")
        assert SETTINGS.text in model.asked[0].text


class TestTitles:
    """A conversation is named by the model once its first message is answered."""

    async def test_a_title_comes_after_the_first_answer_and_every_device_hears_of_it(
        self, opened: House, model: ModelServer
    ) -> None:
        model.title = whole(model.says.whole('\n"Sizes of pools."\nOr so'))
        alice = opened.alice
        async with device(alice) as listening:
            thread_id = await alice.create("How large is it?")
            await listening.until("thread.updated", thread_id=thread_id)
        assert [thread["title"] for thread in await alice.threads()] == ["Sizes of pools"]
        await alice.add(thread_id, "And now?")
        assert len(model.asked_for_titles) == 1
        assert model.asked_for_titles[0].text.count("How large is it?") == 1

    async def test_a_rename_meanwhile_stays(self, database_url: str, model: ModelServer) -> None:
        model.title = Reply(whole(model.says.whole("Mine")).pieces, 200, hangs_before=0)
        async with tutors_house(database_url, model) as opened:
            alice = opened.alice
            thread_id = await alice.create("How large is it?")
            await until(lambda: reached(model))
            await alice.ask("threads.update", thread_id=thread_id, title="My own")
            # What the model would say now is the same as if it had said it at once.
            store = opened.app.state.services.accounts_store
            context = ChatContext("demo-alice")
            was_renamed = await store.retitle_thread(
                thread_id, "Mine", instead_of="How large is it?", context=context
            )
            assert not was_renamed
            assert (await alice.threads())[0]["title"] == "My own"

    async def test_without_a_title_the_first_words_stay_and_the_turn_is_fine(
        self, opened: House, model: ModelServer
    ) -> None:
        model.title = failure(400)
        alice = opened.alice
        events = await alice.stream("threads.create", input=user_input("How large is it?"))
        await until(lambda: asked_for_title(model))
        assert "error" not in {event["type"] for event in events}
        assert (await alice.threads())[0]["title"] == "How large is it?"


async def reached(model: ModelServer) -> bool:
    return bool(model.asked_for_titles) and model.asked_for_titles[0].reached.is_set()


async def asked_for_title(model: ModelServer) -> bool:
    return bool(model.asked_for_titles)


class TestFiles:
    """Attachments, as far as the model can read them."""

    @pytest.mark.parametrize("reads", ["", "images", "images,pdfs"])
    async def test_files_that_the_model_can_read_are_given_and_others_named(
        self, database_url: str, reads: str
    ) -> None:
        async with (
            model_server(Responses()) as model,
            tutors_house(database_url, model, openai_reads=reads) as opened,
        ):
            alice = opened.alice
            files = [
                await upload(alice, "notes.txt", b"the secret is 42"),
                await upload(alice, "dot.png", PNG, "image/png"),
                await upload(alice, "paper.pdf", PDF, "application/pdf"),
            ]
            await alice.stream("threads.create", input=user_input("What is in them?", attachments=files))
        content = model.asked[0].input[-1]["content"]
        text = text_in(content)
        assert "the secret is 42" in text
        given = [part["type"] for part in content if isinstance(part, dict) and part["type"] != "input_text"]
        assert (
            given == {"": [], "images": ["input_image"], "images,pdfs": ["input_image", "input_file"]}[reads]
        )
        for name, kind in (("dot.png", "images"), ("paper.pdf", "pdfs")):
            assert (name in text) == (kind not in reads)

    async def test_pictures_go_to_chat_completions_too(self, database_url: str) -> None:
        async with (
            model_server(ChatCompletions()) as model,
            tutors_house(database_url, model, openai_reads="images") as opened,
        ):
            picture = await upload(opened.alice, "dot.png", PNG, "image/png")
            await opened.alice.stream("threads.create", input=user_input("What?", attachments=[picture]))
        [text, image] = model.asked[0].input[-1]["content"]
        assert text["text"] == "What?"
        assert image["image_url"]["url"].startswith("data:image/png;base64,")


async def test_the_newest_of_a_long_history_is_given_from_a_message_of_the_user_on(
    database_url: str, model: ModelServer
) -> None:
    async with tutors_house(database_url, model, chat_model_input_tokens=400) as opened:
        alice = opened.alice
        thread_id = await alice.create("0" * 300)
        for number in range(1, 6):
            await alice.add(thread_id, str(number) * 300)
    given = [part["content"] for part in model.asked[-1].input]
    assert given == ["3" * 300, "Fine.", "4" * 300, "Fine.", "5" * 300]


async def test_a_message_larger_than_the_bound_is_given_whole(database_url: str, model: ModelServer) -> None:
    async with tutors_house(database_url, model, chat_model_input_tokens=1) as opened:
        await opened.alice.create("x" * 10_000)
    assert model.asked[0].text == "x" * 10_000


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
async def test_nothing_is_stored_or_traced_elsewhere(
    databases: Databases, dialect: Dialect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Agents SDK would export what is said, with the key of the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    traced = Traced()
    set_trace_processors([traced])
    async with (
        databases.fresh() as url,
        model_server(dialect) as model,
        tutors_house(url, model, Shelf(SETTINGS)) as opened,
    ):
        model.title = whole(dialect.whole("A title"))
        model.will(dialect.searched("x"))
        await opened.alice.create()
        await until(lambda: asked_for_title(model))
    assert traced.seen == []
    assert model.asked[0].body.get("store") in (None, False)


class Traced(TracingProcessor):
    """Notes what would be exported."""

    def __init__(self) -> None:
        self.seen: list[object] = []

    def on_trace_start(self, trace: Any) -> None:
        """Note it."""
        self.seen.append(trace)

    def on_trace_end(self, trace: Any) -> None:
        """Note it."""
        self.seen.append(trace)

    def on_span_start(self, span: Any) -> None:
        """Note it."""
        self.seen.append(span)

    def on_span_end(self, span: Any) -> None:
        """Note it."""
        self.seen.append(span)

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self) -> None:
        """Do nothing."""
