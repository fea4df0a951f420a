"""What import-linter cannot see: foreign keys by name that point upward, and names that a dependency also installs."""

from __future__ import annotations

import ast
from importlib.metadata import packages_distributions
from pathlib import Path

from django.apps import apps

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {"events": 0, "resources": 1, "templates_app": 1, "agents": 2, "operations": 3, "sessions": 3}
PACKAGES = {*ROOMS, "workers", "config", "cli"}


def test_no_foreign_key_points_to_a_room_above_or_beside() -> None:
    upward = [
        f"{model.__module__}.{field.name} -> {field.related_model.__module__}"
        for config in apps.get_app_configs()
        if config.name in ROOMS
        for model in config.get_models()
        for field in model._meta.get_fields()
        if field.is_relation and not field.auto_created and (other := _room(field.related_model)) is not None
        if other != config.name and ROOMS[other] >= ROOMS[config.name]
    ]
    assert upward == []


def _room(model: type) -> str | None:
    name = model.__module__.partition(".")[0]
    return name if name in ROOMS else None


def test_no_dependency_installs_a_package_of_our_name() -> None:
    installed = packages_distributions()
    taken = {name: installed[name] for name in PACKAGES if set(installed.get(name, [])) - {"moorage"}}
    assert taken == {}


def test_every_room_has_its_door_sign_and_nothing_else_in_its_init() -> None:
    for name in sorted(PACKAGES - {"cli"}):
        module = ast.parse((ROOT / name / "__init__.py").read_text())
        assert ast.get_docstring(module), f"{name} has no door sign"
        assert len(module.body) == 1, f"{name}/__init__.py holds more than its door sign"


def test_the_kept_fork_of_django_fsm_is_what_is_installed() -> None:
    import django_fsm

    assert hasattr(django_fsm, "ANY_STATE")
    assert packages_distributions()["django_fsm"] == ["django-fsm-2"]


def test_no_module_name_says_nothing() -> None:
    empty_names = {"utils.py", "helpers.py", "services.py", "managers.py", "common.py", "misc.py"}
    found = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py") if path.name in empty_names]
    assert found == []
