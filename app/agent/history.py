"""What was said before, as the model's input: the newest, as much as fits."""

from collections.abc import AsyncIterator

from agents import TResponseInputItem
from chatkit.types import ThreadItem, UserMessageItem

from app.agent.converter import InputConverter
from app.agent.tokens import tokens_of
from app.chat.responder import Turn

_PAGE = 50


class History:
    """The end of a thread, up to the message that is answered."""

    def __init__(self, items: list[ThreadItem], inputs: list[list[TResponseInputItem]]) -> None:
        self._items = items
        self._inputs = inputs

    @property
    def items(self) -> list[ThreadItem]:
        """The items in it, oldest first."""
        return self._items

    def with_material(self, material: list[TResponseInputItem]) -> list[TResponseInputItem]:
        """Return the model's input, with this in front of what is answered."""
        before = [part for group in self._inputs[:-1] for part in group]
        return before + material + self._inputs[-1]


async def history_of(
    turn: Turn, message: UserMessageItem | None, converter: InputConverter, *, most_tokens: int
) -> History:
    """Return the history that a turn is answered with.

    An item is in it whole or not at all, so that no call of a tool is parted from its output; it
    begins with a message of the user, because some models take nothing else; the item that is
    answered is always in it. What others added behind the message meanwhile is not.
    """
    items: list[ThreadItem] = []
    inputs: list[list[TResponseInputItem]] = []
    spent = 0
    async for item in _newest_first(turn, message):
        group = await converter.input_of(item)
        spent += tokens_of(group)
        if items and spent > most_tokens:
            break
        items.append(item)
        inputs.append(group)
    while len(items) > 1 and not isinstance(items[-1], UserMessageItem):
        items.pop()
        inputs.pop()
    return History(items[::-1], inputs[::-1])


async def _newest_first(turn: Turn, message: UserMessageItem | None) -> AsyncIterator[ThreadItem]:
    after: str | None = None
    is_found = message is None
    while True:
        page = await turn.store.load_thread_items(turn.thread.id, after, _PAGE, "desc", turn.context)
        for item in page.data:
            is_found = is_found or (message is not None and item.id == message.id)
            if is_found:
                yield item
        if not page.has_more:
            break
        after = page.after
    if not is_found and message is not None:
        # Deleted a moment ago; the turn answers it all the same.
        yield message
