"""Defects seeded in small programs of our own: what the repair engine is developed and measured on."""
