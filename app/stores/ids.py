"""Ids of our own: 128 bits, in order of time, with the SDK's prefixes."""

import binascii
import hashlib
import secrets
import threading
import time

from chatkit.store import StoreItemType

from app.errors import InvalidRequest
from app.models import MAX_ID_BYTES

# chatkit.store keeps the same table private.
_PREFIXES = {
    "thread": "thr",
    "message": "msg",
    "tool_call": "tc",
    "workflow": "wf",
    "task": "tsk",
    "attachment": "atc",
    "sdk_hidden_context": "shcx",
}

_KINDS: dict[str, StoreItemType] = {"client_tool_call": "tool_call", "task": "task", "workflow": "workflow"}

PLACEHOLDER_IDS = frozenset({"__fake_id__"})
"""What the Agents SDK calls every message of a model that gives no ids."""

# Base64 with its digits in the order of their bytes, so that ids sort as the numbers they are. A
# third shorter than hexadecimal: an item's row and indexes hold five ids.
_ORDERED = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
    b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz",
)

VISITOR_PREFIX = "visitor:"
"""How the owner ids of visitors without an account begin; no account's id may."""

_lock = threading.Lock()
_last_tick = 0


def new_id(item_type: str) -> str:
    """Return an id nobody has: the time in nanoseconds, then 64 random bits, in 22 characters.

    Ids made by one process sort in the order they were made, also when the clock stands still or
    goes back. The SDK's own keep 8 digits: within 100,000 messages two would be the same.
    """
    global _last_tick  # noqa: PLW0603 - the order is the process's, not any object's
    with _lock:
        _last_tick = tick = max(time.time_ns(), _last_tick + 1)
    bits = tick.to_bytes(8) + secrets.token_bytes(8)
    return _id(item_type, bits)


def id_from(item_type: str, owner: str, key: str) -> str:
    """Return the id that what an owner makes with an idempotency key has, every time it is asked for."""
    # Neither part of an id can hold U+0000, so no two pairs read the same.
    digest = hashlib.sha256(f"{item_type}\0{owner}\0{key}".encode()).digest()
    return _id(item_type, digest[:16])


def _id(item_type: str, bits: bytes) -> str:
    digits = binascii.b2a_base64(bits, newline=False)[:22].translate(_ORDERED).decode()
    return f"{_PREFIXES.get(item_type, item_type)}_{digits}"


def id_kind(item_type: str) -> StoreItemType:
    """Return the kind of id that an item of this type has; all but a few are messages."""
    return _KINDS.get(item_type, "message")


def is_storable(record_id: str) -> bool:
    """Tell whether PostgreSQL can hold and index this id; if not, nothing has it."""
    if "\x00" in record_id:
        return False
    try:
        return 0 < len(record_id.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:
        return False


def is_visitor(owner: str) -> bool:
    """Tell whether an owner is a visitor without an account."""
    return owner.startswith(VISITOR_PREFIX)


def storable(record_id: str, what: str) -> str:
    """Return the id. Raises InvalidRequest when it cannot be stored."""
    if not is_storable(record_id):
        raise InvalidRequest(
            f"The {what} id cannot be used: it needs 1 to {MAX_ID_BYTES} bytes of UTF-8 without U+0000."
        )
    return record_id
