"""Who is asking: bearer tokens, anonymous sessions, and the demo's sign-in."""
