"""The parts of the server, made from its settings and put together."""

import asyncio

from app.agent.building import agent_responder, openai_embedder
from app.api.services import Services
from app.chat.context import ChatContext
from app.chat.echo import EchoResponder
from app.chat.exactly_once import ExactlyOnce
from app.chat.leases import LeaseKeeper
from app.chat.offline import OfflineTutor
from app.chat.responder import Responder
from app.chat.server import HistoryServer
from app.chat.turns import Turns
from app.database import Database, create_engine
from app.database.fair_pool import FairPool
from app.events.live import Live
from app.export.running import Exports
from app.files.blobs import Blobs
from app.files.carry import Handover
from app.files.links import Links
from app.files.store import FileStore, Limits
from app.files.sweep import Sweeper
from app.identity.bearer import BearerTokens, Issuers
from app.identity.caller import Identity
from app.identity.demo import DemoSignIn
from app.identity.jwks import PublishedKeys
from app.identity.secret import ServiceSecret
from app.identity.visitors import Visitors
from app.lifecycle import Lifecycle
from app.limits import RateLimits
from app.metrics import Levels, Metrics
from app.repositories.files import FileSweep
from app.repositories.leases import Leases
from app.repositories.secrets import SecretRepository
from app.retrieval.building import documents_of
from app.retrieval.passages import Retriever
from app.settings import Settings, wrong
from app.stores import ChatStore, MemoryStore, NeonChatKitStore
from app.tracing import traces_to
from app.watch import Watch

# A probe is to say soon that the database does not answer.
_PROBE_SECONDS = 2.0


def assemble(settings: Settings, responder: Responder | None, demo: DemoSignIn | None) -> Services:
    """Return the parts, connected to nothing yet. Raises ValidationError for an unusable setting."""
    engine = create_engine(
        settings.database_url,
        pool_size=settings.chat_pool_max_size,
        idle_seconds=settings.chat_pool_idle_seconds,
        prepared_statements=settings.chat_prepared_statements,
    )
    metrics = Metrics()
    traces = traces_to(settings.otel_exporter_otlp_endpoint)
    watch = Watch(metrics, traces, settings.chat_slow_call_seconds)
    database = Database(
        engine, retry_seconds=settings.chat_database_retry_seconds, observer=watch.statement_ended
    )
    secret = ServiceSecret(settings.chat_secret, SecretRepository(database))
    keys = PublishedKeys(settings.auth_jwks_url) if settings.auth_jwks_url else None
    links = Links(secret)
    blobs, visitors_blobs = blobs_of(settings), Blobs.in_memory()
    sweeper = Sweeper(FileSweep(database), blobs)
    live = Live.of(settings, database)
    embedder = openai_embedder(settings) if settings.qdrant_url and settings.openai_api_key else None
    documents = None if responder or settings.chat_responder == "echo" else documents_of(settings, embedder)
    answers = responder or _responder(settings, documents)
    accounts: NeonChatKitStore[ChatContext] = NeonChatKitStore(
        engine,
        retry_seconds=settings.chat_database_retry_seconds,
        deleted=sweeper.kick,
        announcer=live.accounts_announcer,
        observer=watch.statement_ended,
    )
    visitors: MemoryStore[ChatContext] = MemoryStore(
        max_bytes=settings.chat_memory_max_bytes,
        idle_seconds=settings.chat_memory_idle_seconds,
        drop_file=visitors_blobs.drop,
        announcer=live.visitors_announcer,
    )

    def server(store: ChatStore[ChatContext], place: Blobs, home: str) -> HistoryServer:
        limits = Limits(settings.chat_max_attachment_bytes, settings.chat_attachment_types)
        takes_files = settings.chat_attachments == "on"
        return HistoryServer(
            store,
            answers,
            max_message_bytes=settings.chat_max_message_bytes,
            files=FileStore(store, place, links, limits, home=home) if takes_files else None,
        )

    turns = Turns(settings.chat_max_streams, ended=watch.turn_ended)
    pool = FairPool.of(engine)
    return Services(
        settings=settings,
        engine=engine,
        identity=Identity(_issuers(settings, keys, demo), Visitors(secret), settings.chat_anonymous),
        keys=keys,
        health=Database(engine, retry_seconds=_PROBE_SECONDS, observer=watch.statement_ended),
        accounts=server(accounts, blobs, "accounts"),
        visitors=server(visitors, visitors_blobs, "visitors"),
        accounts_store=accounts,
        handover=Handover(visitors, accounts, source=visitors_blobs, target=blobs),
        blobs=blobs,
        visitors_blobs=visitors_blobs,
        exports=Exports(),
        links=links,
        sweeper=sweeper,
        turns=turns,
        exactly_once=ExactlyOnce(
            turns,
            lease_seconds=settings.chat_turn_lease_seconds,
            wait_seconds=settings.chat_turn_wait_seconds,
            longest_seconds=settings.chat_max_answer_seconds,
        ),
        leases=LeaseKeeper(Leases(database), turns, settings.chat_turn_lease_seconds),
        limits=RateLimits(
            settings.chat_rate_limit,
            settings.chat_rate_limit_per_address,
            settings.chat_rate_limit_newcomers,
            settings.redis_url,
        ),
        live=live,
        has_demo_users=demo is not None,
        documents=documents,
        embedder=embedder,
        responder=answers,
        lifecycle=Lifecycle(),
        metrics=metrics,
        traces=traces,
        levels=Levels(
            metrics.registry,
            {
                "chatkit_pool_in_use": lambda: pool.lent,
                "chatkit_pool_idle": lambda: pool.idle,
                "chatkit_pool_waiting": lambda: pool.callers_waiting,
                "chatkit_pool_size": lambda: settings.chat_pool_max_size,
                "chatkit_turns_open": lambda: len(turns),
                "chatkit_sync_listeners": lambda: len(live.accounts) + len(live.visitors),
                "chatkit_tasks": lambda: len(asyncio.all_tasks()),
            },
        ),
    )


def _issuers(settings: Settings, keys: PublishedKeys | None, demo: DemoSignIn | None) -> Issuers:
    issuers = [demo.tokens] if demo is not None else []
    if keys is not None:
        assert settings.auth_issuer is not None  # noqa: S101 - the settings are checked for it
        assert settings.auth_audience is not None  # noqa: S101 - likewise
        issuers.append(BearerTokens(keys, issuer=settings.auth_issuer, audience=settings.auth_audience))
    return Issuers(*issuers)


def blobs_of(settings: Settings) -> Blobs:
    """Return where the bytes of files are kept. Raises ValidationError for a place that cannot be used."""
    if settings.chat_attachments == "off":
        return Blobs.in_memory()
    try:
        return Blobs.at(settings.chat_files_url)
    except ValueError as error:
        raise wrong("chat_files_url", str(error)) from None


def _responder(settings: Settings, documents: Retriever | None) -> Responder:
    if settings.chat_responder == "echo":
        return EchoResponder(word_seconds=settings.chat_echo_word_seconds)
    if settings.asks_a_model:
        return agent_responder(settings, documents)
    return OfflineTutor(documents, public_url=settings.chat_public_url)
