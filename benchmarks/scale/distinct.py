"""How many different values PostgreSQL believes there are, from the sample that ANALYZE takes."""

import random
from collections import Counter

ANALYZED_ROWS = 30_000
"""What ANALYZE looks at with default_statistics_target = 100, however big the table is."""
_SHARE = 0.1
"""From this share of all rows on, PostgreSQL notes a share instead of a number."""
_SEED = 20_260_102


def drawn(repeats: Counter[int], factor: float, *, rows: int = ANALYZED_ROWS) -> Counter[int]:
    """Draw rows of a table; return how many values were drawn so often.

    `repeats` is how many values stand in so many rows; in the table there are `factor` times as many.
    """
    source = random.Random(_SEED)  # noqa: S311 - the same draw every time is what is wanted
    lengths = list(repeats)
    weights = [length * repeats[length] for length in lengths]
    chosen = source.choices(lengths, weights, k=rows)
    values = Counter((length, source.randrange(int(repeats[length] * factor))) for length in chosen)
    return Counter(values.values())


def estimated(found: Counter[int], total: float) -> float:
    """Return what ANALYZE makes of such a draw from `total` rows, as PostgreSQL notes it.

    The estimator of Haas and Stokes, as PostgreSQL uses it. A negative number is a share of all
    rows: -1 says that no two are the same.
    """
    rows = sum(times * values for times, values in found.items())
    different, once = found.total(), found[1]
    if once == rows:
        return -1.0
    if not once:
        return float(different)
    number = rows * different / ((rows - once) + once * rows / total)
    number = float(int(min(max(number, different), total) + 0.5))
    return -number / total if number > _SHARE * total else number
