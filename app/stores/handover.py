"""What leaves a visitor's memory for the database."""

import json

from app.repositories.owners import Counts
from app.repositories.takeover import AttachmentCopy, ItemCopy, ThreadCopy
from app.stores.changes import row_of
from app.stores.sessions import Session


def counts_of(session: Session) -> Counts:
    """Return how much a session holds."""
    items = sum(len(thread.items) for thread in session.threads.values())
    return Counts(len(session.threads), items, len(session.attachments))


Copies = tuple[list[ThreadCopy], list[ItemCopy], list[AttachmentCopy]]
"""Threads, items and attachments; the files of these are still where the visitor's are."""


def copies_of(session: Session) -> Copies:
    """Return a session's threads, their items in their order, and the attachments."""
    threads: list[ThreadCopy] = []
    items: list[ItemCopy] = []
    for thread in session.threads.values():
        row = row_of(thread.stored)
        threads.append(
            ThreadCopy(
                row.id,
                row.title,
                row.status,
                row.payload,
                row.metadata,
                created_at=thread.created_at,
                active_at=thread.active_at,
            )
        )
        items += [
            ItemCopy(
                row.id,
                item_id,
                position,
                json.loads(item.payload)["type"],
                item.payload,
                item.feedback,
                item.created_at,
            )
            for position, (item_id, item) in enumerate(thread.items.items(), 1)
        ]
    files = [
        AttachmentCopy(
            attachment_id,
            file.thread_id,
            file.item_id,
            file.created_at,
            file.file_key,
            file.size,
            file.payload,
        )
        for attachment_id, file in session.attachments.items()
    ]
    return threads, items, files
