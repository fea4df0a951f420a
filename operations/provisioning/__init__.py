"""Environment provisioning: requirements, plan, apply, drift, rollback. Empty until its own release; a stranger to coding."""
