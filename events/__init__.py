"""What happened. Doors: journal.record, bus.subscribe, live, hub, faults. Never knows: any other room."""
