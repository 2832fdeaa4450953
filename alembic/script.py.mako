"""${message}.

Serves: which query or rule needs this, by name.
Lock:   which lock it takes on which table, and for how long on a large one.
Undo:   what downgrade does, and which data it cannot bring back.

Migrations run while the previous release still serves, so the schema must suit both: see "Changing the
schema while people write" in docs/operations.md. Take lock(…) right before what needs it; build indexes and
validate constraints in beside_writers(); fill a new column in batches outside Alembic. A revision that is
broken off is run again from its beginning. Never import app.models here: the models move on.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from app.database.online import beside_writers, lock
${imports if imports else ""}
revision: str = ${repr(up_revision)}
down_revision: str | Sequence[str] | None = ${repr(down_revision)}
branch_labels: str | Sequence[str] | None = ${repr(branch_labels)}
depends_on: str | Sequence[str] | None = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
