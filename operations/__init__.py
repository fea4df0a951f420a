"""Requested work on a project. Doors: submit, cancel, retry, approve, coding.engine. Never knows: queues, HTTP."""
