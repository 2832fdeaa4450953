"""Statements over the models, each bound to one owner."""
