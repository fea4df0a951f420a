"""Celery and nothing else. Doors: routes (which event starts which task), tasks. Never knows: how anything is done."""
