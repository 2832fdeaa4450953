"""The demo as a person uses it: its own process, a real browser."""
