"""What only the demo has: accounts on a Better Auth server of its own."""
