"""What a request carries through the ChatKit SDK to the store and the responder."""

from dataclasses import dataclass, field

from app.chat.record import TurnRecord
from app.stores.attempts import Attempt


@dataclass(frozen=True, slots=True)
class ChatContext:
    """Who is asking, and from where."""

    user_id: str
    """The owner of everything this request reads or writes."""
    base_url: str = "http://127.0.0.1:8000"
    """The address by which the browser reaches this server, for links to files."""
    attempt: Attempt | None = None
    """Set for a request that carries an idempotency key."""
    record: TurnRecord = field(default_factory=TurnRecord, compare=False)
    """What is noted of the request while it is answered."""
