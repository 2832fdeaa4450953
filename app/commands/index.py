"""`chatkit-neon index`: what the offline tutor answers from."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from app.settings import IndexSettings
from app.shipped import shipped


def add(commands: Callable[..., argparse.ArgumentParser]) -> None:
    """Add the command."""
    command = commands("index", help="make the index of documents that questions are answered from, offline")
    command.add_argument(
        "--docs",
        type=Path,
        metavar="DIR",
        help="a folder of Markdown pages; default: this project's own docs",
    )
    command.add_argument(
        "--published-at",
        default="/docs",
        metavar="PATH",
        help="the site's path of these pages; default: /docs",
    )
    command.set_defaults(run=_index)


def _index(options: argparse.Namespace) -> int:
    documents = options.docs or own_documents()
    if documents is None:
        print(
            "chatkit-neon: this installation does not hold the project's docs;"
            " name a folder of Markdown pages with --docs",
            file=sys.stderr,
        )
        return 2
    return make_index(documents, IndexSettings().chat_index, published_at=options.published_at)


def own_documents() -> Path | None:
    """Return the folder of this project's docs; None in a container, which has the code alone."""
    folder = shipped("docs")
    return folder if folder.is_dir() else None


def make_index(documents: Path, index: Path, *, published_at: str = "/docs") -> int:
    """Make the index unless it is up to date, say what was done, and return an exit status."""
    # A second of imports, which other commands need not wait for.
    from app.retrieval.documents import UnreadableDocuments
    from app.retrieval.index import IndexUnusable
    from app.retrieval.indexing import index_documents

    try:
        done = index_documents(documents, index, published_at=published_at)
    except (UnreadableDocuments, IndexUnusable) as error:
        print(f"chatkit-neon: {error}", file=sys.stderr)
        return 1
    what = f"{done.passages:,} passages of {done.pages:,} page{'' if done.pages == 1 else 's'}"
    print(f"Indexed {what} in {index}" if done.is_new else f"The index in {index} is up to date: {what}")
    return 0
