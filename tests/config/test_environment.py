"""Operator settings: typed reads, clear refusals, and a page in the docs that cannot rot."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from config.environment import TABLE, BadSetting, Environment

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_of_settings_is_what_the_table_says() -> None:
    checked = subprocess.run(
        [sys.executable, "scripts/settings_doc.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr


def test_every_setting_is_on_the_page_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", page, flags=re.M))
    assert rows == {setting.name: f"`{setting.default}`" if setting.default else "—" for setting in TABLE}


def test_no_setting_is_listed_twice() -> None:
    names = [setting.name for setting in TABLE]
    assert len(names) == len(set(names))


def test_an_empty_value_means_the_default() -> None:
    assert Environment({"MOORAGE_WEB_PORT": ""}).whole("MOORAGE_WEB_PORT") == 8000


def test_a_secret_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("s3cret\n")
    assert Environment({"MOORAGE_SECRET_KEY_FILE": str(tmp_path / "key")}).text("MOORAGE_SECRET_KEY") == "s3cret"


def test_a_secret_file_that_cannot_be_read_is_refused_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match="MOORAGE_SECRET_KEY_FILE cannot be read: No such file") as refused:
        Environment({"MOORAGE_SECRET_KEY_FILE": str(tmp_path / "none")}).text("MOORAGE_SECRET_KEY")
    assert str(tmp_path) not in str(refused.value)


def test_what_is_not_a_secret_is_not_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "port").write_text("1234")
    assert Environment({"MOORAGE_WEB_PORT_FILE": str(tmp_path / "port")}).whole("MOORAGE_WEB_PORT") == 8000


def test_shared_volumes_are_lent_read_only_unless_they_are_marked() -> None:
    said = {"MOORAGE_SHARED_VOLUMES": "wheels, models:rw,other:ro"}
    assert Environment(said).lent("MOORAGE_SHARED_VOLUMES") == {"wheels": "ro", "models": "rw", "other": "ro"}
    for wrong in ("../x", "a:w", "a,a", "A", "a:rw:x", "/etc"):
        with pytest.raises(BadSetting, match="MOORAGE_SHARED_VOLUMES"):
            Environment({"MOORAGE_SHARED_VOLUMES": wrong}).lent("MOORAGE_SHARED_VOLUMES")


@pytest.mark.parametrize("value", ["abc", "1.5", "-1"])
def test_a_port_that_is_no_whole_number_is_refused_by_name(value: str) -> None:
    with pytest.raises(BadSetting, match="MOORAGE_WEB_PORT"):
        Environment({"MOORAGE_WEB_PORT": value}).whole("MOORAGE_WEB_PORT")


@pytest.mark.parametrize("value", ["maybe", "2", "on "])
def test_a_flag_is_yes_or_no_and_nothing_else(value: str) -> None:
    with pytest.raises(BadSetting, match="MOORAGE_DEBUG"):
        Environment({"MOORAGE_DEBUG": value}).flag("MOORAGE_DEBUG")


@pytest.mark.parametrize("value", ["20000", "9-8", "80-90", "60000-70000", "a-b"])
def test_a_range_of_ports_that_cannot_be_lent_is_refused(value: str) -> None:
    with pytest.raises(BadSetting, match="MOORAGE_PORT_RANGE"):
        Environment({"MOORAGE_PORT_RANGE": value}).ports("MOORAGE_PORT_RANGE")


def test_a_name_outside_the_table_is_not_read() -> None:
    with pytest.raises(KeyError):
        Environment({"MOORAGE_NO_SUCH_THING": "1"}).text("MOORAGE_NO_SUCH_THING")
