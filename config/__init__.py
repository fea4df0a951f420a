"""Wiring. Doors: settings, urls, asgi, celery. Imports every room; no room imports it."""
