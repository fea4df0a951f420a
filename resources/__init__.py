"""What a host lends. Doors: hosts, admission, leases, ports, orphans, files, sandboxes. Never knows: agents, operations, queues."""
