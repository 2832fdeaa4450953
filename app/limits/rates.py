"""Requests per owner and per network address."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256

from limits import RateLimitItem, parse_many

from app.errors import TooManyRequests
from app.limits.counts import Counts

_IPV6_NETWORK = 64


class RateLimits:
    """Refuses requests beyond the rates, which are written like `100/minute` or `10/second;1000/hour`.

    Windows slide: there is no full hour at which everybody may begin again. With a Redis, all
    processes that use it count together; which user asked, or from where, cannot be read there.
    """

    def __init__(
        self, per_owner: str, per_address: str, newcomers: str, redis_url: str | None = None
    ) -> None:
        self._per_owner = _parsed(per_owner)
        self._per_address = _parsed(per_address)
        self._newcomers = _parsed(newcomers)
        self._counts = Counts(redis_url)

    async def admit_address(self, address: str | None) -> None:
        """Count a request from a network address, before anything else is done for it.

        An address of this machine is not counted: it is a developer, or a proxy that
        FORWARDED_ALLOW_IPS does not name, and that one is everybody. Raises TooManyRequests.
        """
        network = None if address is None else network_of(address)
        if network is not None:
            await self._admit("address", self._per_address, network)

    async def admit_newcomer(self, address: str | None) -> None:
        """Count a visitor who is new, by the address. Raises TooManyRequests.

        Whoever brings no cookie is somebody new each time, and has no owner's rate to exceed.
        """
        network = None if address is None else network_of(address)
        if network is not None:
            await self._admit("newcomer", self._newcomers, network)

    async def admit_owner(self, owner: str) -> None:
        """Count a request of an owner, who is known by now. Raises TooManyRequests."""
        await self._admit("owner", self._per_owner, owner)

    async def aclose(self) -> None:
        """Close the connections to Redis."""
        await self._counts.aclose()

    async def _admit(self, kind: str, rates: Sequence[RateLimitItem], who: str) -> None:
        # Neither user ids nor addresses have any business in Redis.
        key = f"{kind}:{sha256(who.encode(errors='surrogatepass')).hexdigest()}"
        for rate in rates:
            if seconds := await self._counts.count(rate, key):
                when = "in a second" if seconds == 1 else f"in {seconds} seconds"
                raise TooManyRequests(f"Too many requests. Please try again {when}.", retry_after=seconds)


@lru_cache(maxsize=4096)
def network_of(address: str) -> str | None:
    """Return what an address is counted as; None for one of this machine.

    An IPv6 address counts as its /64, of which one customer has at least one whole.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    if ip.is_loopback:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((int(ip), _IPV6_NETWORK), strict=False))
    return str(ip)


def _parsed(rates: str) -> list[RateLimitItem]:
    # The shortest first: it refuses most, and what it refuses does not count in the others.
    return sorted(parse_many(rates), key=lambda rate: rate.get_expiry())
