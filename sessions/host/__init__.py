"""The session host: one daemon per host owns every PTY there. Doors: server.serve, client. Runs in no web process."""
