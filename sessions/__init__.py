"""Persistent, shared terminals (label `terminals`).

Doors: lifecycle (rows), peek (what a terminal shows), upkeep (the sweep), host (the daemon that owns the PTYs).
Never knows: operations, queues.
"""
