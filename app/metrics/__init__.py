"""What the server counts of itself, for Prometheus: numbers, and names of this program's own making.

No label holds an id, an address or anything that people wrote.
"""

from app.metrics.instruments import Metrics
from app.metrics.levels import Levels

__all__ = ["Levels", "Metrics"]
