"""Keyed requests: what is known of one, and what an attempt to answer it carries through the store."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta

from chatkit.types import ErrorEvent

from app.repositories.requests import Asked, Standing
from app.repositories.rows import Hold


@dataclass(slots=True)
class Attempt:
    """One attempt to answer a request that carries an idempotency key.

    It is part of the context of every call of its turn: what the turn stores is marked as its own,
    and stored only while this attempt holds the request.
    """

    request_id: str
    fingerprint: str
    lease: timedelta
    turn: str
    """The id of the message that is answered, or one made from the key when there is none."""
    is_message: bool
    """Whether the turn begins with a new message of that id."""
    thread_id: str | None
    """The thread that it is in; for one that begins a thread, the id that this is to have."""
    is_call: bool = False
    """Whether it is answered at once, and so is no turn."""
    holder: str = field(default_factory=lambda: secrets.token_hex(12))
    number: int = 0
    """Which attempt of the request this is: 1 for the first, 0 while it does not hold the request."""
    since: int = 0
    """Whatever the request adds stands behind this position."""
    has_input: bool = False
    """Whether an earlier attempt has stored what the request asks for."""
    is_answering: bool = False
    """Whether this one has, so that something answers it."""
    failure: ErrorEvent | None = None
    """The error that the answer ended with."""

    @property
    def asked(self) -> Asked:
        """What a repository needs to know of it."""
        return Asked(self.request_id, self.fingerprint, self.holder, self.lease, self.turn, self.is_message)

    @property
    def hold(self) -> Hold | None:
        """What its items are written with, once it holds the request."""
        return Hold(self.request_id, self.holder, self.turn, self.is_call) if self.number else None

    def take(self, standing: Standing) -> None:
        """Note that this attempt holds the request. Raises AlreadyAsked when it does not."""
        if not standing.is_mine or standing.outcome is not None:
            raise AlreadyAsked(standing)
        self.number, self.since = standing.attempts, standing.since
        self.learn(standing)

    def learn(self, standing: Standing) -> None:
        """Note what earlier attempts made of the request. Raises AlreadyAsked when it is answered."""
        if standing.outcome is not None:
            raise AlreadyAsked(standing)
        self.has_input = standing.has_input
        # Those of the first attempt: a visitor's request may be an account's by now, which would make others.
        self.turn = standing.turn or self.turn
        self.thread_id = standing.thread_id or self.thread_id


class AlreadyAsked(Exception):
    """Another attempt has answered the request, or is answering it; `standing` tells."""

    def __init__(self, standing: Standing) -> None:
        super().__init__("Another attempt answers this request, or did.")
        self.standing = standing


def attempt_of(context: object) -> Attempt | None:
    """Return the attempt that a store call is part of; None for calls outside of keyed requests."""
    attempt = getattr(context, "attempt", None)
    return attempt if isinstance(attempt, Attempt) else None


def hold_of(context: object) -> Hold | None:
    """Return what a store call writes with; None outside of keyed requests, and before one is held."""
    attempt = attempt_of(context)
    return attempt.hold if attempt is not None else None


def held_attempt(context: object) -> Attempt:
    """Return the attempt of a call that makes no sense without one."""
    attempt = attempt_of(context)
    if attempt is None:
        raise ValueError("The context of this store call needs an attempt: it is about a keyed request")
    return attempt


def digest_of(text: str | bytes) -> str:
    """Return 128 bits of a digest, as text."""
    content = text.encode() if isinstance(text, str) else text
    return hashlib.sha256(content).hexdigest()[:32]
