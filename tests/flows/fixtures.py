"""Fixtures of the inline cluster; a ``conftest.py`` that wants them imports them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.flows.inline import PLAIN_TEMPLATE, Inline, memory_broker


@pytest.fixture
def inline(transactional_db: None, data_directory: Path, tmp_path: Path, settings: Any) -> Iterator[Inline]:
    """A cluster in this process, on the bare tier: what isolation does is proved elsewhere."""
    roots = tmp_path / "roots"
    roots.mkdir()
    settings.REPOSITORY_ROOTS = [roots]
    settings.ISOLATION, settings.ALLOW_BARE = "bare", True
    settings.HOST_TTL_S = 120  # a test machine that is busy is no silent host
    settings.REDIS_URL = f"unix://{tmp_path}/absent.sock"  # the live stream is away: nothing of this depends on it
    (data_directory / "templates").mkdir()
    (data_directory / "templates" / "plain.yaml").write_text(PLAIN_TEMPLATE)
    settings.TEMPLATE_DIRECTORIES = [settings.BASE_DIR / "templates_app" / "library", data_directory / "templates"]
    with memory_broker():
        yield Inline(roots=roots)
