"""${message}.

Serves: which query or rule needs this, by name.
Lock:   which lock it takes on which table, and for how long on a large one.
Undo:   what downgrade does, and which data it cannot bring back.

Migrations run while the previous release still serves, so the schema must suit both. Build an
index on a table in use with CREATE INDEX CONCURRENTLY in an autocommit block; fill a new column
in batches outside Alembic. Never import app.models here: the models move on.

Revision ID: ${up_revision}
Revises: ${down_revision | comma,n}
Create Date: ${create_date}
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}
revision: str = ${repr(up_revision)}
down_revision: str | Sequence[str] | None = ${repr(down_revision)}
branch_labels: str | Sequence[str] | None = ${repr(branch_labels)}
depends_on: str | Sequence[str] | None = ${repr(depends_on)}


def upgrade() -> None:
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    ${downgrades if downgrades else "pass"}
