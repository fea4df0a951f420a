"""Where pull requests are opened. Doors: protocol, github_forge, local_forge. Never knows: git, stages."""
