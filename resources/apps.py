from __future__ import annotations

from typing import Any

from django.apps import AppConfig


class ResourcesConfig(AppConfig):
    name = "resources"
    verbose_name = "Resources"

    def ready(self) -> None:
        from events import policy

        policy.register("host", hosts_are_for_staff)
        policy.register("egress", hosts_are_for_staff)


def hosts_are_for_staff(user: Any, _host_id: str) -> bool:
    """What a host lends and to whom is the operators' business."""
    return bool(user.is_staff)
