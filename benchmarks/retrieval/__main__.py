"""`python -m benchmarks.retrieval`: quality, then speed; `--development` shows what is tuned on instead."""

import argparse
import asyncio
import tempfile
from pathlib import Path

from app.retrieval.indexing import index_documents
from app.retrieval.local import LocalRetriever
from benchmarks.retrieval import answering
from benchmarks.retrieval.quality import Quality, measure
from benchmarks.retrieval.questions import DEVELOPMENT, MEASURED, Questions
from benchmarks.tables import Table

_DOCS = Path(__file__).parents[2] / "docs"
_COLUMNS = ("questions", "asked", "recall@1", "recall@3", "answered by quotes", "goal")


async def _main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retrieval", description=__doc__)
    parser.add_argument("--development", action="store_true", help="ask the questions that are tuned on")
    parser.add_argument("--docs", type=Path, default=_DOCS, help="default: this project's docs")
    parser.add_argument("--quality", action="store_true", help="leave out how soon answers come")
    options = parser.parse_args()
    name = DEVELOPMENT if options.development else MEASURED
    with tempfile.TemporaryDirectory(prefix="chatkit-neon-bench-") as folder:
        index_documents(options.docs, Path(folder), published_at="/docs")
        documents = LocalRetriever(Path(folder))
        quality = await measure(documents, Questions.load(name))
        await documents.close()
    print(_table(quality).text())
    for text in quality.answered_off_topic:
        print(f"answered, and should not be: {text}")
    if not options.quality:
        print((await answering.run()).text())


def _table(quality: Quality) -> Table:
    table = Table("Quality of offline answers", _COLUMNS, ())
    for name, recall, goal in (
        ("in the docs' words", quality.direct, ""),
        ("paraphrases without a shared word", quality.paraphrases, ""),
        ("all of them", quality.all, "recall@3 ≥ 0.9"),
    ):
        shares = (f"{recall.at_1:.2f}", f"{recall.at_3:.2f}")
        table.rows.append([name, str(recall.asked), *shares, str(recall.quoted), goal])
    wrong = len(quality.answered_off_topic)
    table.rows.append(["off topic", str(quality.off_topic), "", "", str(wrong), "≤ 1 in 20"])
    return table


if __name__ == "__main__":
    asyncio.run(_main())
