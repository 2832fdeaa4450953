"""Whose threads they are: one user's, as a list says, or as the threads themselves say."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.stores.ids import is_storable, is_visitor
from migrations_data.errors import MoveRefused, Unplaceable

_WAYS = (
    "Say whose conversations these are: --user ID for one owner, --user-map FILE for a JSON object of"
    " thread ids and users, or --user-from metadata.user_id when the threads say it themselves."
)
_VISITOR = (
    "{} names a visitor without an account, whose id only that visitor's browser can prove. Name an"
    " account; a visitor's own export, which says whose it is, is brought back without --user."
)


@dataclass(frozen=True)
class OwnerRule:
    """Finds the owner of a thread; the more particular answer wins."""

    user: str | None = None
    by_thread: dict[str, str] = field(default_factory=dict)
    path: tuple[str, ...] = ()

    def of(
        self, record: dict[str, Any], *names: str | None, beside: dict[str, Any] | None = None
    ) -> str | None:
        """Return the owner of a thread that is known by some names, None when nothing tells.

        `beside` is what stood beside the record. Raises Unplaceable when one of the two names a user who
        cannot be used, or each another one: it is nobody's then; and when its names are listed for several.
        """
        listed = {self.by_thread[name] for name in names if name in self.by_thread}
        if len(listed) > 1:
            raise Unplaceable("the list of users names several users for it, by its id and by another name")
        if listed:
            return next(iter(listed))
        named = {self._named(one) for one in (record, beside)} - {None}
        if len(named) > 1:
            raise Unplaceable("it and what stood beside it name different users")
        return next(iter(named), self.user)

    @staticmethod
    def own_name(record: dict[str, Any]) -> str | None:
        """Return what a thread calls itself, None when it does not."""
        name = record.get("id")
        return name if name is None or isinstance(name, str) else str(name)

    def _named(self, record: Any) -> str | None:
        for name in self.path:
            record = record.get(name) if isinstance(record, dict) else None
        if isinstance(record, int) and not isinstance(record, bool):
            record = str(record)
        if not self.path or record is None:
            return None
        if not isinstance(record, str) or not is_storable(record):
            raise Unplaceable("the user that it names cannot be used")
        if is_visitor(record):
            raise Unplaceable("the user that it names is a visitor without an account")
        return record

    @property
    def digest(self) -> str:
        """The same for the same rule."""
        parts = [self.user, sorted(self.by_thread.items()), self.path]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def owner_rule(
    *, user: str | None, user_map: Path | None, user_from: str | None, of_source: str | None
) -> OwnerRule:
    """Return the rule that was asked for; `of_source` is the owner that an export names itself.

    Raises MoveRefused when there is none, or it cannot be used.
    """
    if user is not None and is_visitor(user) and user != of_source:
        raise MoveRefused(_VISITOR.format(f"--user {user}"))
    given = of_source if user is None else user
    if given is not None and not is_storable(given):
        raise MoveRefused("The user cannot be used: an id has 1 to 255 bytes of UTF-8 without U+0000.")
    path = () if user_from is None else tuple(user_from.split("."))
    if not all(path):
        raise MoveRefused("--user-from names no place in a thread; one is metadata.user_id.")
    if given is None and user_map is None and user_from is None:
        raise MoveRefused(_WAYS)
    return OwnerRule(given, _read(user_map), path)


def _read(path: Path | None) -> dict[str, str]:
    if path is None:
        return {}
    try:
        content: object = json.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise MoveRefused(f"The list of users {path.name} cannot be read: {error}.") from None
    if not isinstance(content, dict):
        raise MoveRefused(
            f'{path.name} is to be a JSON object of thread ids and users: {{"thr_1": "alice"}}.'
        )
    wrong = [key for key, user in content.items() if not isinstance(user, str) or not is_storable(user)]
    if wrong:
        raise MoveRefused(f"{path.name} names no user that can be used for {wrong[0]!r}.")
    visitors = [key for key, user in content.items() if is_visitor(user)]
    if visitors:
        raise MoveRefused(_VISITOR.format(f"The user of {visitors[0]!r} in {path.name}"))
    return content
