"""What happened. Doors: journal.record, bus.subscribe, live, hub, faults. Never knows: who acts on an event, any other room."""
