"""The ``moorage`` command, a client of the HTTP API. Never knows: any room, Django, the database."""

__version__ = "0.1.0"
