"""Persistent, shared terminals (label `terminals`). Doors: lifecycle. Never knows: operations, queues."""
