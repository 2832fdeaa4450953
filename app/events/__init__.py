"""Telling every device of an owner what changed: who listens, and by what ways news come here."""

from app.events.feed import Feed
from app.events.hub import Hub, Subscription

__all__ = ["Feed", "Hub", "Subscription"]
