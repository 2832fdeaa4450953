"""How long conversations are kept."""
