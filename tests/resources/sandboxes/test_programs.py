"""Whether a berth still has the programs that a result was made with."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from resources.sandboxes import policy, programs, selection
from resources.sandboxes.protocol import Tier

from .conftest import Opener


@pytest.fixture
def tag() -> Iterator[str]:
    """A name for an image; the image itself is the ordinary one, or another with the same content and more."""
    name = f"moorage-test/programs:{os.getpid()}"
    with closing(docker.from_env()) as client:
        yield name
        client.images.remove(name, force=True)


@pytest.mark.needs_docker
def test_an_image_built_anew_under_its_old_name_is_another_one(opener: Opener, tag: str) -> None:
    repository, _, version = tag.partition(":")
    with closing(docker.from_env()) as client:
        ordinary = client.images.get(policy.DEFAULT_IMAGE)
        ordinary.tag(repository, version)
        before = opener(Tier.CONTAINER, image=tag)
        made = client.containers.create(policy.DEFAULT_IMAGE, labels={"moorage-test": "programs"})
        made.commit(repository, version, changes="LABEL again=1")  # the name stands for another image from now on
        made.remove()
    after = opener(Tier.CONTAINER, image=tag)
    assert programs.digest(before.reference()) == ordinary.id
    assert programs.digest(after.reference()) not in ("", ordinary.id)
    assert programs.digest(selection.adopt(before.reference()).reference()) == ordinary.id


def test_a_container_whose_image_was_not_written_down_may_be_any() -> None:
    assert programs.digest({"tier": "container", "name": "x", "profile": {"image": "moorage/sandbox:latest"}}) == ""


def test_elsewhere_it_is_what_the_host_has_installed(tmp_path: Path) -> None:
    listed = tmp_path / "status"
    lists = (tmp_path / "absent", listed)
    reference = {"tier": "process", "name": "x", "profile": {}}
    assert programs.digest(reference, lists=lists) == ""  # nobody can tell, so nothing is kept
    listed.write_text("python3 3.11.7\n")
    before = programs.digest(reference, lists=lists)
    assert before == programs.digest({"tier": "bare", "name": "y"}, lists=lists)
    listed.write_text("python3 3.11.8\n")
    assert programs.digest(reference, lists=lists) not in ("", before)
