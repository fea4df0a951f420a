"""What may leave a berth: nothing, unless a template or an operator names it.

Doors: ``berths`` (a berth's way out, made and cleared), ``grants`` (an operator's yes), ``daemon`` (the proxy of one
host). Never knows: agents, templates, queues. How it works: docs/egress.md.
"""
