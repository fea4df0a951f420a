"""What the schema cannot say of a whole specification: that its parts fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from templates_app import volume_rules
from templates_app.schema import spec_schema
from templates_app.volume_rules import Problem


def problems(spec: Mapping[str, Any]) -> Iterator[Problem]:
    """Of a specification that the schema finds sound; parts that are missing are nobody's problem here."""
    yield from _isolation(spec.get("isolation", {}))
    yield from _services(spec)
    yield from volume_rules.problems(spec)


def _isolation(said: Mapping[str, Any]) -> Iterator[Problem]:
    tiers: list[str] = spec_schema()["properties"]["isolation"]["properties"]["min"]["enum"]
    tier, least = said.get("tier", ""), said.get("min", "")
    if tier in tiers and least in tiers and tiers.index(tier) < tiers.index(least):
        yield ("isolation", "tier"), "weaker_than_min", f"is {tier}, and isolation.min is {least}"


def _services(spec: Mapping[str, Any]) -> Iterator[Problem]:
    ports = {port.get("name") for port in spec.get("ports", [])}
    for at, service in enumerate(spec.get("services", [])):
        port = service.get("port")
        if port is not None and port not in ports and "${" not in port:
            yield ("services", at, "port"), "unknown_port", f"names the port {port!r}, which is not in ports"
