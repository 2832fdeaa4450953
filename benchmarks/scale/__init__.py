"""What 100 million threads would be like: plans from simulated statistics, bytes, and what they cost."""
