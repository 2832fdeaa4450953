"""Finding passages of documents that answer a question. Nothing here knows of conversations."""
