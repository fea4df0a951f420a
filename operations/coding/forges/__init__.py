"""Where pull requests live. Doors: protocol, github_forge, local_forge, allowance. Never knows: git, stages."""
