"""What makes two containers alike: then one can stand ready for agents of either template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from agents import sizes, ways_out
from resources.egress import berths as egress


def shape_of(spec: Mapping[str, Any]) -> str:
    """A digest of all that is fixed when a container is made; empty for what no container can stand ready for.

    Variables, names and ports come with each command, so they are not in it. What depends on the host it will run on
    is not known yet, and a way out and volumes are mounted for one berth alone.
    """
    if not settings.WARM_POOL or egress.wanted(ways_out.network_of(spec)) or spec.get("volumes"):
        return ""
    size, isolation = sizes.size_of(spec), spec["isolation"]
    fixed = {
        "image": isolation.get("image", ""),
        "runtime": isolation.get("runtime", ""),
        "tier": isolation.get("tier", ""),
        "min": sizes.minimum_of(spec),
        "memory_mb": size.memory_mb,
        "cpu_millis": size.cpu_millis,
        "disk_mb": size.disk_mb,
        "pids": spec["size"]["pids"],
    }
    text = json.dumps(fixed, sort_keys=True)
    return "" if "${" in text else hashlib.sha256(text.encode()).hexdigest()[:40]
