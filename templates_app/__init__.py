"""How an environment should look.

Doors: active.templates, active.resolved, publish, drafts, watching.sync, resolve.resolve (pure).
Never knows: agents, hosts, HTTP, queues. Who wears a template registers with wearers.
"""
