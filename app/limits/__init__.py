"""How much one owner, or one network address, may ask for."""

from app.limits.rates import RateLimits

__all__ = ["RateLimits"]
