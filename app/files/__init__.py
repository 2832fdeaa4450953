"""Attached files: what they are, where their bytes are kept, links to them, and when they go."""
