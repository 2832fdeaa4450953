"""What leaves a visitor's memory for the database."""

import json
from dataclasses import replace

from app.repositories.owners import Counts
from app.repositories.takeover import AttachmentCopy, Copies, ItemCopy, RequestCopy, ThreadCopy
from app.stores.changes import row_of
from app.stores.sessions import Session


def counts_of(session: Session) -> Counts:
    """Return how much a session holds."""
    items = sum(len(thread.items) for thread in session.threads.values())
    return Counts(len(session.threads), items, len(session.attachments))


def copies_of(session: Session) -> Copies:
    """Return what a session holds; the bytes of its attachments are still where the visitor's are."""
    threads: list[ThreadCopy] = []
    items: list[ItemCopy] = []
    requests: list[RequestCopy] = []
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
                item.turn,
            )
            for position, (item_id, item) in enumerate(thread.items.items(), 1)
        ]
        places = [item.position for item in thread.items.values()]
        requests += [
            RequestCopy(
                request_id,
                request.fingerprint,
                row.id,
                request.turn,
                # Items are numbered anew.
                sum(place <= request.since for place in places),
                request.outcome,
                request.result,
                has_input=request.has_input,
            )
            for request_id, request in thread.requests.items()
        ]
    requests += [
        RequestCopy(
            gone.id, gone.request.fingerprint, gone.thread_id, gone.request.turn, 0, "done", result=None
        )
        for gone in session.gone
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
    return Copies(threads, items, files, requests)


def in_order(copies: Copies) -> Copies:
    """Return the same with the order in which the database has them: by id, items by thread and place."""

    def place(record: ThreadCopy | AttachmentCopy) -> bytes:
        return record.id.encode()

    return replace(
        copies,
        threads=sorted(copies.threads, key=place),
        items=sorted(copies.items, key=lambda item: (item.thread_id.encode(), item.position)),
        attachments=sorted(copies.attachments, key=place),
    )
