"""The nine-stage coding workflow. Doors: engine.run_stage, engine.resume. Never knows: queues, HTTP, provisioning."""
