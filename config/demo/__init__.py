"""The demo: the main job on the repositories under ``examples/``, on the embedded stack, from nothing to a report."""
