"""What a run says of itself."""

from chaos.run import Options, Outcome

_MOST_COMPLAINTS = 40


def heading(options: Options) -> str:
    """Return what to say before anything can go wrong: the seed, and how to repeat the run."""
    return f"seed {options.seed}: {options.command}"


def summary(outcome: Outcome) -> str:
    """Return what happened and the verdict."""
    operations = outcome.journal.operations
    ended = [operation for operation in operations if operation.ended]
    lines = [
        f"{sum(outcome.faults.values())} faults, {outcome.starts} server starts",
        *(f"  {times:4} {kind}" for kind, times in sorted(outcome.faults.items())),
        f"{outcome.options.users} users, {len(operations)} operations, {len(ended)} answered",
        f"{sum(o.attempts > 1 for o in operations)} asked for more than once, {outcome.stored} items stored",
        f"{outcome.taken_over} requests answered by another attempt than the first",
        *(f"  {times:4} {what}" for what, times in sorted(outcome.journal.counts.items())),
        *(f"logged {times} times: {line}" for line, times in sorted(outcome.logged.items())),
        f"{outcome.seconds:.0f} seconds",
        verdict(outcome),
    ]
    return "\n".join(lines)


def verdict(outcome: Outcome) -> str:
    """Return whether every promise was kept, and else which ones were not and how to see it again."""
    if not outcome.complaints:
        return "nothing lost, nothing doubled, nothing out of order, nothing half-written"
    shown = outcome.complaints[:_MOST_COMPLAINTS]
    more = len(outcome.complaints) - len(shown)
    return "\n".join(
        [
            f"FAILED, {len(outcome.complaints)} complaints:",
            *(f"  {complaint}" for complaint in shown),
            *([f"  and {more} more"] if more else []),
            f"Again with: {outcome.options.command}",
        ]
    )
