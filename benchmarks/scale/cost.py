"""What a month costs on Neon, by formulae that take other prices as well."""

from dataclasses import dataclass

from benchmarks.scale.sizes import Sizes

GB = 1_000_000_000


@dataclass(frozen=True)
class Prices:
    """In US dollars, as Neon's page of plans had them on PUBLISHED."""

    cu_hour: float
    storage: float = 0.35
    """A GB for a month; root branches, by their logical size."""
    history: float = 0.20
    """A GB of changes, kept for a month."""
    egress: float = 0.10
    """A GB, beyond FREE_EGRESS."""


PUBLISHED = "2026-11-12"
LAUNCH = Prices(0.106)
SCALE = Prices(0.222)
FREE_EGRESS = 100.0
HOURS = 730.0


@dataclass(frozen=True)
class Site:
    """What is asked of a site. Assumptions, all of them: put in your own."""

    name: str
    prices: Prices
    monthly: float
    """New messages a month, in millions."""
    kept: float
    """Messages that it holds, in millions."""
    compute: float
    """CU, the mean over the hours that it runs."""
    hours: float
    """Hours a month that it runs."""
    history_days: float
    reads: float
    """How often each new message is read from the database, on average."""


SITES = (
    Site("small", LAUNCH, monthly=0.1, kept=1, compute=0.25, hours=240, history_days=1, reads=10),
    Site("medium", LAUNCH, monthly=5, kept=60, compute=1, hours=HOURS, history_days=7, reads=10),
    Site("large", SCALE, monthly=200, kept=2400, compute=8, hours=HOURS, history_days=7, reads=10),
)


@dataclass(frozen=True)
class Bill:
    """A month's, in US dollars."""

    storage: float
    history: float
    compute: float
    egress: float

    @property
    def total(self) -> float:
        """The sum."""
        return self.storage + self.history + self.compute + self.egress


def bill(site: Site, size: Sizes) -> Bill:
    """Return what a month costs."""
    new = site.monthly * 1_000_000
    sent = new * site.reads * size.said / GB
    return Bill(
        storage=site.kept * 1_000_000 * size.disk / GB * site.prices.storage,
        history=new * size.wal / GB * site.history_days / 30 * site.prices.history,
        compute=site.compute * site.hours * site.prices.cu_hour,
        egress=max(sent - FREE_EGRESS, 0) * site.prices.egress,
    )
