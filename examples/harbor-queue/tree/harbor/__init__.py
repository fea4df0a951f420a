"""The roadstead and who waits in it."""
