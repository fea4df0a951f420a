"""Every model call goes through here: run token → allowed model → provider, with budgets, journal and prices.

Doors: tokens (a run's right to call), endpoint (the ASGI application), limits and spend (money), sweep. Never knows:
what a run is for. The keys of providers are read in :mod:`agents.gateway.upstream` and nowhere else.
"""
