"""Passwords of people who exist for one test: hashed as in the service, in fewer rounds."""

from __future__ import annotations

from django.contrib.auth.hashers import PBKDF2PasswordHasher


class FewRounds(PBKDF2PasswordHasher):
    """The service's own algorithm: a service beside the tests, which has all its rounds, knows these passwords, too."""

    iterations = 1_000
