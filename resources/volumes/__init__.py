"""Directories that berths get beside their workspace: their own, kept ones, and what an operator lends of a host.

Doors: ``wanted`` (what a template asks), ``admitting`` (what stands in the way, what is reserved), ``berths`` (made,
found and taken away on a host), ``kept`` (listed and removed). Nothing of the host is mounted but what a setting names.
"""
