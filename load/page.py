"""Results in a Markdown page, between two marks."""

from collections.abc import Sequence
from pathlib import Path

from load.report import held, limits, operations
from load.run import Ran

BEGIN = "<!-- Made by `python -m load --limits --page docs/PERFORMANCE.md --plots docs/performance`. -->"
END = "<!-- End of what was made. -->"


def write(page: Path, runs: Sequence[Ran]) -> None:
    """Put the results between the marks. Raises ValueError when the page has not got both, once each."""
    page.write_text(replaced(page.read_text(), results(runs)))


def replaced(text: str, between: str) -> str:
    """Return a page with something else between its marks."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"The page needs these two lines, once each: {BEGIN} and {END}")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n\n{between.strip()}\n\n{END}{rest.split(END)[1]}"


def results(runs: Sequence[Ran]) -> str:
    """Return the results as Markdown: how far it goes, then the first run in full."""
    first = runs[0]
    tables = [*([limits(runs)] if len(runs) > 1 else []), operations(first), held(first)]
    return "\n".join(table.markdown().replace("## ", "### ", 1) for table in tables)
