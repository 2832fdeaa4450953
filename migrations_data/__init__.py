"""Data moves: the siblings of the schema's migrations. README.md shows how to write the next one."""
