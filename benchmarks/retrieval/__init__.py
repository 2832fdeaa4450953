"""How good the offline tutor's answers are, and how soon they come: `python -m benchmarks.retrieval`."""
