"""How the database is reached: URLs, the pool, and statements that survive a lost connection."""

from app.database.database import Database
from app.database.engine import create_engine
from app.database.statement import Statement

__all__ = ["Database", "Statement", "create_engine"]
