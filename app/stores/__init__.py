"""Where conversations are kept: ChatKit Stores with one contract."""

from app.stores.base import ChatStore, OwnerContext
from app.stores.memory import MemoryStore
from app.stores.neon import NeonChatKitStore

__all__ = ["ChatStore", "MemoryStore", "NeonChatKitStore", "OwnerContext"]
