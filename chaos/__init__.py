"""Faults on purpose: users talk through retrying clients while everything below them breaks."""
