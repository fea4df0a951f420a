"""How an environment should look.

Doors: library.load, resolve.resolve. Never knows: agents, hosts, HTTP, queues.
"""
