"""A template as a berth would get it, before there is one."""

from __future__ import annotations

import json

import pytest

from templates_app import preview, publish
from tests.templates_app.test_activation import text

pytestmark = pytest.mark.django_db

RULE = """adapt: [{when: "host.cpus > 0", set: {ports: [{name: c}]}}]
"""


@pytest.mark.parametrize("ports", ["[{name: a}]", "{$append: [{name: a}]}", "{$replace: [{name: a}]}"])
def test_every_port_has_an_example_number_however_it_is_written(ports: str) -> None:
    spec = {"A": "${port.a}", "C": "${port.c}"}
    publish.publish(
        text("dock", f"{RULE}spec: {{ports: {ports}, environment: {json.dumps(spec)}}}\n"), actor="user:ada"
    )
    environment = preview.previewed("dock", given={}).spec["environment"]
    assert isinstance(environment, dict)
    assert (environment["A"], environment["C"]) == ("40001", "40002")
