"""The console links to Flower where this browser can reach it, and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from config.environment import BadSetting, Environment
from tests.browser import rows

pytestmark = pytest.mark.django_db


def page(client: Client, host: str) -> str:
    return client.get("/admin/", headers={"Host": host}).content.decode()


def test_a_browser_of_this_machine_gets_the_port_and_any_other_gets_no_link(
    admin_client: Client, settings: Any
) -> None:
    settings.ALLOWED_HOSTS, settings.FLOWER_PORT = ["127.0.0.1", "moorage.example"], 5999
    assert 'href="http://127.0.0.1:5999/"' in page(admin_client, "127.0.0.1:8000")
    assert "Flower" not in page(admin_client, "moorage.example")


def test_the_operator_says_where_browsers_reach_it(admin_client: Client, settings: Any) -> None:
    settings.ALLOWED_HOSTS, settings.FLOWER_URL = ["moorage.example"], "https://flower.moorage.example/"
    assert 'href="https://flower.moorage.example/"' in page(admin_client, "moorage.example")


def test_each_step_links_to_its_task_by_the_name_that_the_wake_up_has(
    admin_client: Client, admin_user: Any, data_directory: Path, settings: Any
) -> None:
    settings.FLOWER_URL = "https://flower.moorage.example"
    operation = rows.failed(admin_user, of=rows.project(admin_user))
    html = admin_client.get(f"/admin/operations/operation/{operation.pk}/change/").content.decode()
    assert f'href="https://flower.moorage.example/task/{operation.pk}.4"' in html


def test_an_address_with_a_password_in_it_is_refused() -> None:
    with pytest.raises(BadSetting, match="MOORAGE_FLOWER_URL"):
        Environment({"MOORAGE_FLOWER_URL": "https://operator:secret@flower.example/"}).mirror("MOORAGE_FLOWER_URL")
