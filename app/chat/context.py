"""What a request carries through the ChatKit SDK to the store and the responder."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChatContext:
    """Who is asking."""

    user_id: str
    """The owner of everything this request reads or writes."""
