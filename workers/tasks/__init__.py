"""One module per queue. A task is three lines: it unpacks ids and calls one door."""
