"""Small stores written by hand, imported for alice, and everything that is kept or told of them."""

import json
from pathlib import Path
from typing import Any

from tests.support.moves import lines_of, move, stored

SAMPLES = Path(__file__).parents[2] / "migrations_data" / "samples"
T = "2025-01-01T00:00:00"


def thread(key: str, **more: Any) -> dict[str, Any]:
    """Return a thread as starters write it."""
    return {"id": key, "created_at": T, "title": None, "status": {"type": "active"}, "metadata": {}, **more}


def said(key: Any, of: str, text: str, **more: Any) -> dict[str, Any]:
    """Return an assistant's message as starters write it."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {
        "id": key, "thread_id": of, "created_at": T, "type": "assistant_message", "content": content, **more,
    }  # fmt: skip


def put(folder: Path, content: Any, name: str = "store.json") -> Path:
    """Write a store into a file."""
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def exported() -> Any:
    """Return an export of this project."""
    return json.loads((SAMPLES / "export.json").read_text())


def rejects(path: Path) -> list[dict[str, Any]]:
    """Return what could not be placed of a store."""
    return lines_of(path.with_name(path.name + ".rejects.jsonl"))


def notes(path: Path) -> list[dict[str, Any]]:
    """Return what was noted of a store."""
    return lines_of(path.with_name(path.name + ".report.jsonl"))


def texts(found: Any, key: str) -> list[str]:
    """Return what was said in a thread."""
    return [item["content"][0]["text"] for item in found[key][1]]


async def known(path: Path, url: str, **options: Any) -> str:
    """Import for alice; return everything that is kept and told."""
    await move(path, url, user="alice", **options)
    return json.dumps([await stored(url, "alice"), rejects(path), notes(path)])
