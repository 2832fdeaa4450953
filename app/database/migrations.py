"""Running the migrations from Python: for the commands, the demo and the tests."""

from alembic.config import Config

from alembic import command
from app.shipped import shipped


def alembic_config(url: str | None = None) -> Config:
    """Return Alembic's configuration, for a database or for the one that the settings name."""
    config = Config(shipped("alembic.ini"))
    # This code was found already; what lies beside the ini file must not come before anybody's packages.
    config.set_main_option("prepend_sys_path", "")
    config.attributes["url"] = url
    config.attributes["configure_logging"] = False
    return config


def migrate(url: str) -> None:
    """Bring a database to this release's schema. Waits for another deploy that is doing the same."""
    command.upgrade(alembic_config(url), "head")
