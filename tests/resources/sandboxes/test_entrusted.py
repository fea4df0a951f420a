"""Secrets of the operator: in the environment of one command, and nowhere else."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from resources.operator_secrets import Mask
from resources.sandboxes.engine import engine
from resources.sandboxes.entrusted import Entrusted, SecretsRefused
from resources.sandboxes.protocol import Command, Reference, Sandbox, Tier
from resources.sandboxes.side_services import Served, Service, ServiceFailed

from .conftest import ALL, Opener, until_seen

VALUE = "b4ttery-staple"


@pytest.fixture(params=ALL)
def sandbox(request: pytest.FixtureRequest, opener: Opener) -> Sandbox:
    return opener(request.param)


def test_the_command_has_it_and_what_it_prints_does_not(sandbox: Sandbox) -> None:
    entrusted = Entrusted(sandbox, secrets={"TOKEN": VALUE})
    outcome = entrusted.run(Command(argv=("sh", "-c", "echo ${#TOKEN} $TOKEN; echo $TOKEN >&2")))
    assert outcome.stdout.decode() == f"{len(VALUE)} ••••\n"
    assert outcome.stderr.decode() == "••••\n"
    assert sandbox.run(Command(argv=("sh", "-c", "echo [$TOKEN]"))).stdout == b"[]\n", "and the next has it not"
    assert VALUE not in json.dumps(entrusted.reference())


def test_no_argument_list_of_the_machine_and_nothing_the_engine_tells_has_it(sandbox: Sandbox) -> None:
    entrusted = Entrusted(sandbox, secrets={"TOKEN": VALUE})
    mark = f"moorage-entrusted-{sandbox.reference()['profile']['generation']}"
    over = Path(sandbox.reference()["profile"]["workspace"]) / "over"
    with ThreadPoolExecutor(1) as pool:
        script = f"while [ ! -e {over} ]; do sleep 0.05; done"
        running = pool.submit(entrusted.run, Command(argv=("sh", "-c", script, mark), timeout_s=30))
        try:
            until_seen(mark)
            shown = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
            told = ""
            if sandbox.tier is Tier.CONTAINER:
                with engine() as client:
                    told = json.dumps(client.api.inspect_container(sandbox.reference()["name"]))
        finally:
            over.touch()
        assert running.result().ok
    assert not [argv for argv in shown if any(VALUE in word for word in argv)]
    assert VALUE not in told


def test_the_log_of_a_service_is_shown_without_it(sandbox: Sandbox, tmp_path: Path) -> None:
    broken = Service("db", ("sh", "-c", "echo cannot log in with $TOKEN; exit 1"), ready=("false",))
    mask = Mask({"TOKEN": VALUE})
    said: list[str] = []
    served = Served(
        Entrusted(sandbox, secrets={"TOKEN": VALUE}), services=[broken], locks=tmp_path / "locks", say=said.append,
        environment={"TOKEN": VALUE}, clean=mask.text,
    )  # fmt: skip
    with pytest.raises(ServiceFailed) as caught:
        served.run(Command(argv=("true",)))
    assert caught.value.facts["log"] == "cannot log in with ••••\n"
    assert VALUE not in "".join(said)


class ThroughTheEngine:
    """A container whose image has no Python: its commands' environment stands in what the engine tells."""

    tier, note = Tier.CONTAINER, ""

    def reference(self) -> Reference:
        return {"tier": "container", "carrier": "engine", "profile": {}}


def test_where_the_engine_would_tell_it_nothing_is_given() -> None:
    with pytest.raises(SecretsRefused):
        Entrusted(ThroughTheEngine(), secrets={"TOKEN": VALUE})  # type: ignore[arg-type]


def test_lines_of_a_long_secret_are_taken_out_one_by_one_and_short_words_are_left() -> None:
    mask = Mask({"KEY": "-----BEGIN-----\nabcdefgh\n-----END-----", "SHORT": "ab"})
    assert mask.text("x abcdefgh ab -----END----- y") == "x •••• ab •••• y"
    assert mask.data(b"abcdefgh\xff") == "••••".encode() + b"\xff"
    assert (mask.holds("has abcdefgh"), mask.holds("has ab")) == (True, False)
    assert not Mask({})
