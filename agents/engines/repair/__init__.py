"""Repair without a model: searches for the edit that makes the failing tests pass and breaks no other.

Doors: engine.RepairEngine, options.read. Never knows: Django rows, queues, git. What runs in the sandbox is
``inside.py`` alone; everything it says is checked by ``survey`` and ``harness``.
"""
