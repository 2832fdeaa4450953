"""Secrets of the service, made by whichever process needs one first."""

from sqlalchemy import Text, bindparam
from sqlalchemy.dialects.postgresql import insert

from app.database import Database, Statement
from app.models import Secret

_new = insert(Secret).values(name=bindparam("name_", type_=Text), value=bindparam("value_", type_=Text))
# An update that changes nothing, because only a row that was written is returned.
KEEP = Statement(
    "secrets.keep",
    _new.on_conflict_do_update(index_elements=[Secret.name], set_={"value": Secret.value}).returning(
        Secret.value
    ),
)


class SecretRepository:
    """The service's secrets. They belong to no owner and are never shown to one."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, name: str, proposed: str) -> str:
        """Return the secret of this name; `proposed` becomes it when there is none yet."""
        rows = await self._database.write(KEEP, name_=name, value_=proposed)
        value: str = rows[0][0]
        return value
