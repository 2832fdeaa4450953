"""The responder that asks a language model."""

from collections.abc import AsyncIterator
from datetime import datetime

from agents import (
    Agent,
    RunConfig,
    RunErrorHandlerInput,
    RunErrorHandlerResult,
    Runner,
    TResponseInputItem,
)
from chatkit.agents import stream_agent_response
from chatkit.types import (
    AssistantMessageItem,
    ProgressUpdateEvent,
    SearchTask,
    ThreadItemDoneEvent,
    ThreadItemRemovedEvent,
    ThreadStreamEvent,
    URLSource,
    UserMessageItem,
    Workflow,
    WorkflowItem,
)
from openai.types.responses import EasyInputMessageParam

from app.agent.attachments import Files
from app.agent.citations import SafeLinks, cited
from app.agent.converter import InputConverter, cleaned, joined
from app.agent.documents import SEARCH_TOOL, Documents, Numbered, material
from app.agent.endpoint import Endpoint
from app.agent.history import history_of
from app.agent.instructions import TUTOR
from app.agent.running import AnswerContext, Run, closing
from app.agent.titles import Titles
from app.chat.item_ids import own_ids
from app.chat.responder import Responder, Turn, text_of
from app.retrieval.passages import Retriever
from app.stores.ids import id_kind

SEARCHING = "Searching the documents…"
WITHOUT_DOCUMENTS = "The documents cannot be searched right now, so this answer does without them."
_MOST_ROUNDS = 5
_LINKS = SafeLinks()


class AgentResponder(Responder):
    """Answers with a language model, and with what the documents say.

    What people wrote, and what was found, is the model's input; its instructions are always the same.
    Failures are ModelUnavailable and ModelRefused; what was said before is kept.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        retriever: Retriever | None,
        *,
        public_url: str | None,
        most_tokens: int,
        silence: float,
        seconds: float,
        may_search: bool,
    ) -> None:
        """Send up to about `most_tokens` of what was said before.

        The model may be silent for `silence` seconds, and take `seconds` for all of an answer.
        `may_search` gives it a tool to search with. The endpoint is closed with this.
        """
        self._endpoint = endpoint
        self._retriever = retriever
        self._public_url = public_url
        self._most_tokens = most_tokens
        self._silence = silence
        self._seconds = seconds
        self._may_search = may_search
        self._titles = Titles(endpoint, seconds=silence)
        self._alone = _agent(endpoint)
        self._searching = _agent(endpoint).clone(tools=[SEARCH_TOOL])

    async def respond(self, turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadStreamEvent]:
        """Answer, then name the conversation if it is new."""
        documents = Documents(self._retriever, self._public_url) if self._retriever is not None else None
        found: list[Numbered] = []
        if documents is not None and message is not None and (question := text_of(message)):
            yield ProgressUpdateEvent(text=SEARCHING)
            found = await documents.search(question)
            if sources := documents.sources(found):
                yield ThreadItemDoneEvent(item=_searched(turn, question, sources))
        was_missing = documents is not None and documents.is_missing
        if was_missing:
            async for event in turn.say(_sentence(WITHOUT_DOCUMENTS)):
                yield event
        converter = InputConverter(Files(turn.files, turn.context, self._endpoint.reads))
        history = await history_of(turn, message, converter, most_tokens=self._most_tokens)
        given = history.with_material(_as_input(documents, found))
        said: list[str] = []
        async for event in self._answer(turn, given, documents):
            if isinstance(event, ThreadItemDoneEvent) and isinstance(event.item, AssistantMessageItem):
                said += [part.text for part in event.item.content]
            yield event
        if documents is not None and documents.is_missing and not was_missing:
            async for event in turn.say(_sentence(WITHOUT_DOCUMENTS)):
                yield event
        if message is not None:
            self._titles.begin(turn, message, "\n".join(said), history.items)

    async def _answer(
        self, turn: Turn, given: list[TResponseInputItem], documents: Documents | None
    ) -> AsyncIterator[ThreadStreamEvent]:
        context = AnswerContext(
            thread=turn.thread, store=turn.store, request_context=turn.context, documents=documents
        )
        may_search = self._may_search and documents is not None and not documents.is_missing
        result = Runner.run_streamed(
            self._searching if may_search else self._alone,
            joined(given) if self._endpoint.api == "chat_completions" else given,
            context=context,
            max_turns=_MOST_ROUNDS,
            run_config=RunConfig(
                tracing_disabled=True,
                trace_include_sensitive_data=False,
                tool_not_found_behavior="return_error_to_model",
            ),
            error_handlers={"model_refusal": _is_an_answer},
        )
        run = Run(result, context, silence=self._silence, seconds=self._seconds)
        async with closing(run):
            events = own_ids(
                stream_agent_response(context, run.as_result(), converter=_LINKS),
                lambda kind: turn.new_id(id_kind(kind)),
                context.is_foreign,
            )
            try:
                async for event in events if documents is None else cited(events, documents):
                    yield event
            except Exception:
                # Else its reader would see it at work for ever.
                if (steps := context.workflow_item) is not None:
                    yield _ended(steps)
                raise

    async def close(self) -> None:
        """Give up names that are looked for, and hang up."""
        await self._titles.close()
        await self._endpoint.client.close()


def _agent(endpoint: Endpoint) -> Agent[AnswerContext]:
    return Agent(
        name="tutor",
        instructions=TUTOR,
        model=endpoint.model,
        model_settings=endpoint.model_settings,
    )


def _as_input(documents: Documents | None, found: list[Numbered]) -> list[TResponseInputItem]:
    if documents is None:
        return []
    return [
        EasyInputMessageParam(type="message", role="user", content=cleaned(block))
        for block in material(documents, found)
    ]


def _searched(turn: Turn, question: str, sources: list[URLSource]) -> WorkflowItem:
    """Return what shows where was looked before the model was asked."""
    task = SearchTask(
        status_indicator="complete", title="Searched the documents", queries=[question], sources=sources
    )
    return WorkflowItem(
        id=turn.new_id("workflow"),
        thread_id=turn.thread.id,
        created_at=datetime.now(),  # noqa: DTZ005 - the SDK's own, naive local time
        workflow=Workflow(type="custom", tasks=[task]),
    )


def _is_an_answer(refused: RunErrorHandlerInput[AnswerContext]) -> RunErrorHandlerResult:
    """Let a run end with a refusal as with any answer: its words have been shown by now."""
    return RunErrorHandlerResult(final_output="", include_in_history=False)


def _ended(steps: WorkflowItem) -> ThreadStreamEvent:
    if steps.workflow.tasks:
        return ThreadItemDoneEvent(item=steps)
    return ThreadItemRemovedEvent(item_id=steps.id)


async def _sentence(text: str) -> AsyncIterator[str]:
    yield text
