"""The fault test, in short: `make chaos` is the long form."""

import random
from pathlib import Path

from chaos.report import heading, summary
from chaos.run import Options, run

_FAULTS = 12


async def test_nothing_acknowledged_is_lost_or_doubled_whatever_breaks(tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    options = Options(seed=seed, faults=_FAULTS, seconds=8.0, users=3)
    print(heading(options))
    outcome = await run(options, tmp_path)
    print(summary(outcome))
    assert outcome.complaints == []
    assert sum(outcome.faults.values()) == _FAULTS
    assert sum(operation.ended is not None for operation in outcome.journal.operations) > _FAULTS
