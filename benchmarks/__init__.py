"""What a Store call and a whole turn cost, side by side with hand-written asyncpg and the stock SDK."""
