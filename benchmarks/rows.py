"""A user, a project and a host to measure with. Import it in a process that is set up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.utils import timezone

from operations import projects
from operations.models import Project
from resources import hosts
from resources.models import Host


def user() -> Any:
    """Whoever asks in a benchmark."""
    return get_user_model().objects.get_or_create(username="bench")[0]


def project() -> Project:
    """A project whose repository nobody ever opens."""
    repository = Path(settings.REPOSITORY_ROOTS[0]) / "nothing.git"
    repository.mkdir(exist_ok=True)
    return projects.create(by=user(), name="bench", repository_url=str(repository), default_template="lightweight")


def host(*, ports: tuple[int, int]) -> Host:
    """A host that lends these ports."""
    capacity = hosts.Capacity(
        slots=8, memory_mb=8192, cpu_millis=8000, disk_mb=65_536, port_first=ports[0], port_last=ports[1]
    )
    return hosts.register(name="bench-ports", capacity=capacity, facts={"tiers": []}, now=timezone.now())
