"""How a statement makes sure that its attempt still holds the keyed request that it is part of."""

from sqlalchemy import Boolean, ColumnElement, Text, bindparam, or_, update

from app.models import KeyedRequest

_OWNER: ColumnElement[str] = bindparam("owner", type_=Text)

# An attempt that was slow may wake up when another has taken its request over. The row is written, so
# that the takeover waits for a statement that is on its way, or this one waits and finds that it came
# too late.
HELD = (
    update(KeyedRequest)
    .where(
        KeyedRequest.user_id == _OWNER,
        KeyedRequest.id == bindparam("request", type_=Text),
        KeyedRequest.holder == bindparam("holder", type_=Text),
        KeyedRequest.outcome.is_(None),
    )
    .values(has_input=or_(KeyedRequest.has_input, bindparam("is_input", type_=Boolean)))
    .returning(KeyedRequest.id)
    .cte("held")
)
"""The part of a statement that has a row only while the request is held."""
