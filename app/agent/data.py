"""Material for the model, marked as such.

As JSON, because no text can end a JSON string that it stands in: whatever a passage, a file or a
quote says, it stays inside its block, and looks like nothing else.
"""

import json
from typing import Any


def data_block(what: str, value: Any) -> str:
    """Return a block of material; `what` is one of our own sentences, and says what it is."""
    return f"{what}\n```json\n{json.dumps(value, ensure_ascii=False)}\n```"
