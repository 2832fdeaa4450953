"""The tables of a page of the docs that a measurement fills."""

from pathlib import Path

from benchmarks.tables import Table


def fill(path: Path, tables: dict[str, Table]) -> None:
    """Write each table between its marks, `<!-- begin NAME -->` and `<!-- end NAME -->`.

    Raises ValueError for a table that the page has no place for; then nothing is written.
    """
    text = path.read_text()
    for name, table in tables.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{path} has no place for the table {name}.")
        rows = "\n".join(table.markdown().splitlines()[2:]).strip()
        head, _, rest = text.partition(begin)
        text = f"{head}{begin}\n{rows}\n\n{end}{rest.partition(end)[2]}"
    path.write_text(text)
