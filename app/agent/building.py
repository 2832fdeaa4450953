"""The parts of this package, made from the settings."""

from app.agent.embedding import OpenAIEmbedder
from app.agent.endpoint import Endpoint, client_of
from app.agent.responder import AgentResponder
from app.retrieval.passages import Retriever
from app.settings import Settings

# So that an answer that takes too long ends with a word, not with the turn's own limit.
_OF_THE_TURN = 0.95


def agent_responder(settings: Settings, retriever: Retriever | None) -> AgentResponder:
    """Return the responder that asks the model of the settings, and the documents if there are any."""
    return AgentResponder(
        Endpoint.of(settings),
        retriever,
        public_url=settings.chat_public_url,
        most_tokens=settings.chat_model_input_tokens,
        silence=settings.openai_timeout_seconds,
        seconds=settings.chat_max_answer_seconds * _OF_THE_TURN,
        may_search=settings.openai_tools == "on",
    )


def openai_embedder(settings: Settings) -> OpenAIEmbedder:
    """Return what asks the endpoint of the settings for vectors."""
    return OpenAIEmbedder(client_of(settings), settings.openai_embedding_model)
