"""Where the model is, which of the two APIs it speaks, and what it is asked for."""

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from agents import (
    Model,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
)
from agents.models.default_models import get_default_model, get_default_model_settings
from openai import AsyncOpenAI
from openai.types.shared import Reasoning

from app.agent.attachments import Readable
from app.agent.faithful import FaithfulModel
from app.settings import Settings

OPENAI = "https://api.openai.com/v1"
_RETRIES = 2
# Endpoints without keys take any; the client wants one.
_NO_KEY = "none"

Api = Literal["responses", "chat_completions"]


@dataclass(frozen=True)
class Endpoint:
    """A model that can be asked."""

    client: AsyncOpenAI
    model: Model
    model_settings: ModelSettings
    api: Api
    reads: frozenset[Readable]
    """What the model can read beside texts."""

    @classmethod
    def of(cls, settings: Settings) -> "Endpoint":
        """Return the model that the settings name; nothing is connected yet."""
        address = settings.openai_base_url or OPENAI
        is_openai = urlsplit(address).hostname == urlsplit(OPENAI).hostname
        api: Api = "responses" if is_openai else "chat_completions"
        if settings.openai_api != "auto":
            api = settings.openai_api
        client = client_of(settings)
        name = settings.openai_model or get_default_model()
        readable: tuple[Readable, ...] = ("images", "pdfs") if is_openai else ()
        return cls(
            client=client,
            model=FaithfulModel(
                OpenAIResponsesModel(name, client)
                if api == "responses"
                else OpenAIChatCompletionsModel(name, client)
            ),
            model_settings=_model_settings(settings, name, is_openai=is_openai, api=api),
            api=api,
            reads=frozenset(readable if settings.openai_reads is None else settings.openai_reads),
        )


def client_of(settings: Settings) -> AsyncOpenAI:
    """Return a client for the endpoint that the settings name."""
    return AsyncOpenAI(
        api_key=settings.openai_api_key or _NO_KEY,
        base_url=settings.openai_base_url or OPENAI,
        timeout=settings.openai_timeout_seconds,
        max_retries=_RETRIES,
    )


def _model_settings(settings: Settings, name: str, *, is_openai: bool, api: Api) -> ModelSettings:
    """Return what goes with each request.

    Nothing is kept by the other side (`store`); the SDK's defaults are those of OpenAI's own models,
    and other endpoints are sent nothing that they need not know.
    """
    chosen = get_default_model_settings(name) if is_openai else ModelSettings()
    if is_openai or api == "responses":
        chosen.store = False
    if api == "responses" and settings.openai_reasoning_summary is not None:
        effort = chosen.reasoning.effort if chosen.reasoning is not None else None
        chosen.reasoning = Reasoning(
            effort=None if effort == "none" else effort, summary=settings.openai_reasoning_summary
        )
    if api == "responses" and is_openai and _thinks(chosen):
        # What is not stored has to be sent back for the model to go on behind a tool's output.
        chosen.response_include = ["reasoning.encrypted_content"]
    return chosen


def _thinks(chosen: ModelSettings) -> bool:
    return chosen.reasoning is not None and chosen.reasoning.effort != "none"
