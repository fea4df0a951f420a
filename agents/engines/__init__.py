"""Who writes the code. Doors: registry.pick, protocol. An engine turns a requirement and a workspace into
edits and nothing else.
"""
