"""What a host lends. Doors: hosts, admission, leases, ports, uids, orphans, files, sandboxes.

Never knows: agents, operations, queues.
"""
