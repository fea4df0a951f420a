"""Environment provisioning: requirements, plan, apply, drift, rollback. Empty as yet; a stranger to coding."""
