"""Who works. Doors: lifecycle, health, engines, roles, capabilities. Never knows: queues, HTTP handlers, git."""
