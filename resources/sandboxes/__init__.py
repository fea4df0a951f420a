"""Sandboxes of several tiers behind one protocol. Doors: selection.choose, selection.open_sandbox, selection.adopt."""
