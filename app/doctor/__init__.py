"""Looks at the settings, the database and what else the server needs; says in plain words what is wrong."""

from app.doctor.examination import examine
from app.doctor.finding import Finding, Level

__all__ = ["Finding", "Level", "examine"]
