"""Which tier is picked, and what is said when none will do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.sandboxes import selection
from resources.sandboxes.protocol import Availability, IsolationUnavailable, Profile, SandboxGone, Tier


@pytest.fixture
def only_bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A host without bwrap and without an engine: an empty PATH and a socket that is not there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    selection.availabilities(fresh=True)
    yield
    monkeypatch.undo()
    selection.availabilities(fresh=True)


def by_tier() -> dict[Tier, Availability]:
    return {answer.tier: answer for answer in selection.availabilities()}


def test_every_tier_answers_strongest_first() -> None:
    tiers = [answer.tier for answer in selection.availabilities(fresh=True)]
    assert tiers == sorted(Tier, key=lambda tier: -tier.strength)


def test_strongest_available_tier_wins_and_preference_caps_it() -> None:
    strongest = next(answer.tier for answer in selection.availabilities(fresh=True) if answer.available)
    assert selection.choose(minimum=Tier.BARE, allow_bare=True).tier is strongest
    assert selection.choose(minimum=Tier.BARE, allow_bare=True, prefer=Tier.BARE).tier is Tier.BARE


def test_bare_needs_permission_by_name() -> None:
    with pytest.raises(IsolationUnavailable, match="has not allowed"):
        selection.choose(minimum=Tier.BARE, allow_bare=False, prefer=Tier.BARE)


def test_preference_below_the_minimum_fails_closed() -> None:
    with pytest.raises(IsolationUnavailable, match="prefers"):
        selection.choose(minimum=Tier.CONTAINER, allow_bare=True, prefer=Tier.LANDLOCK)


@pytest.mark.usefixtures("only_bare_machine")
def test_missing_tiers_are_named_with_their_remedies() -> None:
    with pytest.raises(IsolationUnavailable) as caught:
        selection.choose(minimum=Tier.PROCESS, allow_bare=True)
    told = caught.value.as_dict()
    assert "no Docker engine answers" in told["detail"]
    assert "bwrap is not installed" in told["detail"]
    assert "apt-get install bubblewrap" in told["remedy"]
    assert told["code"] == "isolation.unavailable"
    assert all(answer.remedy for answer in by_tier().values() if not answer.available)


def test_an_engine_on_another_machine_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    selection.availabilities(fresh=True)
    assert "elsewhere" in by_tier()[Tier.CONTAINER].reason
    monkeypatch.undo()
    selection.availabilities(fresh=True)


@pytest.mark.usefixtures("only_bare_machine")
def test_answers_are_kept_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    before = selection.availabilities()
    monkeypatch.undo()
    assert selection.availabilities() is before
    assert selection.availabilities(fresh=True) is not before


@pytest.mark.parametrize(
    "reference",
    [{}, {"tier": "submarine"}, {"tier": "landlock"}, {"tier": "process", "profile": {"owner": "x"}},
     {"tier": "bare", "profile": {"surprise": 1}}],
)  # fmt: skip
def test_a_reference_that_is_none_is_a_sandbox_that_is_gone(reference: dict[str, object]) -> None:
    with pytest.raises(SandboxGone):
        selection.adopt(reference)


@pytest.mark.parametrize("tier", [Tier.BARE, pytest.param(Tier.LANDLOCK, marks=pytest.mark.needs_landlock)])
def test_sandbox_of_a_workspace_that_vanished_is_gone(tier: Tier, tmp_path: Path) -> None:
    workspace = tmp_path / "w"
    workspace.mkdir()
    profile = Profile(owner="agent:1", generation=1, workspace=workspace)
    sandbox = selection.open_sandbox(profile, minimum=tier, prefer=tier, allow_bare=True)
    workspace.rename(tmp_path / "elsewhere")
    assert not sandbox.alive()
    with pytest.raises(SandboxGone):
        selection.adopt(sandbox.reference())
    sandbox.close()
