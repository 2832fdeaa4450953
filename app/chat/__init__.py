"""The ChatKit server: what it accepts, how a turn runs, and what answers."""
