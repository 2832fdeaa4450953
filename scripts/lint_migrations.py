"""Look at the SQL of each migration for what blocks a table in use, or cannot be taken back.

Squawk does, under the rules of .squawk.toml. What a migration has to do all the same it names, with the
reason, in a dictionary `ACCEPTED` of rules. A rule that it names in vain is an error, too.
"""

import io
import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from alembic import command

_ROOT = Path(__file__).parents[1]
_SQUAWK = Path(sysconfig.get_path("scripts")) / "squawk"


def migrations(config: Config) -> list[Script]:
    """Return all migrations, the oldest first."""
    return list(ScriptDirectory.from_config(config).walk_revisions())[::-1]


def sql_of(config: Config, migration: Script) -> str:
    """Return what the migration sends to PostgreSQL."""
    config.output_buffer = io.StringIO()
    command.upgrade(config, f"{migration.down_revision or 'base'}:{migration.revision}", sql=True)
    return config.output_buffer.getvalue()


def violations(sql: str) -> list[dict[str, Any]]:
    """Return what Squawk finds in the SQL of one migration."""
    options = ["--config", str(_ROOT / ".squawk.toml"), "--reporter", "json"]
    run = subprocess.run([_SQUAWK, *options], input=sql, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if not run.stdout.strip():
        raise RuntimeError(f"Squawk said nothing: {run.stderr}")
    found: list[dict[str, Any]] = json.loads(run.stdout)
    return found


def complaints(name: str, found: list[dict[str, Any]], accepted: dict[str, str]) -> list[str]:
    """Return what is wrong with a migration, a line each, given what it accepts."""
    open_ones = [one for one in found if one["rule_name"] not in accepted]
    unused = accepted.keys() - {one["rule_name"] for one in found}
    return [
        *(
            f"{name}: {one['rule_name']} (line {one['line'] + 1} of its SQL): {one['message']}"
            for one in open_ones
        ),
        *(f"{name}: accepts {rule}, which it does not break" for rule in sorted(unused)),
    ]


def main() -> int:
    """Tell what is wrong; return the exit status."""
    config = Config(_ROOT / "alembic.ini", attributes={"configure_logging": False})
    wrong = [
        line
        for migration in migrations(config)
        for line in complaints(
            migration.revision,
            violations(sql_of(config, migration)),
            getattr(migration.module, "ACCEPTED", {}),
        )
    ]
    sys.stderr.writelines(f"{line}\n" for line in wrong)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
