"""What runs in a terminal."""

from __future__ import annotations

# bash where the berth has it. A constant: nothing of a request ever gets into it.
SHELL = ("/bin/sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash -i; else exec sh -i; fi")
ENVIRONMENT = {"TERM": "xterm-256color"}
