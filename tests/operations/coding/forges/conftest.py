"""A server that speaks GitHub's REST dialect, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from operations.coding.forges.protocol import PullRequestDraft
from tests.fakes.github_server import GitHubServer, github_server

TOKEN = "ghp_averysecrettoken0123456789"
DRAFT = PullRequestDraft("team/app", "moorage/fix-1", "1" * 40, "main", "2" * 40, "Fix", "Body.")


@pytest.fixture
def server() -> Iterator[GitHubServer]:
    """It runs as long as the test."""
    with github_server(TOKEN) as running:
        yield running
