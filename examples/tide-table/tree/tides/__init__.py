"""Tides of one harbour, from its printed table."""
