"""Agent programs of other people, run inside the berth: over the Agent Client Protocol, or once with their output read.

Doors: assignment (what a template names), engine. Never knows: operations, tokens' making, git. What a program says is
hostile: bounded, checked, cleaned, and never a path or a command for the host. See docs/external.md.
"""
