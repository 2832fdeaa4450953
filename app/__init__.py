"""chatkit-neon: ChatKit conversations in PostgreSQL, per user."""
