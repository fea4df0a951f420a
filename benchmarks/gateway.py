"""What the gateway adds to a model call: whole answers, streams and their first token, beside the provider directly.

Also: fifty calls at once against a budget of one dollar.
"""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from statistics import median

import httpx

from benchmarks import report, stack
from benchmarks.report import Figure

CALLS = 120
WARM_UP = 20
ANSWER_TOKENS = 4000


def _provider(told: Connection) -> None:
    """A provider in a process of its own; it never runs out of answers."""
    from tests.fakes.llm_server import LlmServer, Say

    with LlmServer(*[Say("word " * 200, input_tokens=0, output_tokens=ANSWER_TOKENS)] * 5000) as server:
        told.send(server.base_url("openai"))
        told.recv()
        told.send(len(server.requests))


@contextmanager
def _providing() -> Iterator[tuple[str, Connection]]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_provider, args=(theirs,))
    process.start()
    try:
        yield ours.recv(), ours
    finally:
        ours.send("end")
        process.join(10)


def _timed(client: httpx.Client, url: str, token: str, *, streamed: bool) -> tuple[float, float]:
    """Seconds to the first byte of the answer's body, and to its end."""
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": "Hello."}], "max_tokens": 100}
    headers = {"authorization": f"Bearer {token}"}
    began = time.perf_counter()
    with client.stream("POST", url, json=body | {"stream": streamed}, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        parts = answer.iter_raw()
        next(parts)
        first = time.perf_counter() - began
        for _ in parts:
            continue
    return first, time.perf_counter() - began


def _figures(direct: str, through: str, token: str) -> list[Figure]:
    found = []
    # A connection for each call on both sides: the stub speaks HTTP/1.0.
    with httpx.Client(trust_env=False, timeout=30) as client:
        for streamed in (False, True):
            pairs = [
                (_timed(client, direct, "x", streamed=streamed), _timed(client, through, token, streamed=streamed))
                for _ in range(CALLS + WARM_UP)
            ][WARM_UP:]
            plain, ours = (median(pair[side][1] for pair in pairs) * 1000 for side in (0, 1))
            name = "streamed call" if streamed else "call"
            base = "the provider directly"
            found.append(Figure(f"{name} through the gateway", round(ours, 2), "ms", baseline=round(plain, 2),
                                baseline_name=base))  # fmt: skip
        added = [ours[0] - plain[0] for plain, ours in pairs]
    found.append(report.at_most("first token later by (median)", median(added) * 1000, "ms", 10))
    return found


def measure() -> list[Figure]:
    """Calls in turns, then fifty at once."""
    with _providing() as (url, _told):
        keys = {"MOORAGE_MODELS": "openai:gpt-5", "OPENAI_API_KEY": "none", "OPENAI_BASE_URL": url}
        with stack.running(only=frozenset({"gateway"}), MOORAGE_BUDGET="project=1", **keys):
            from django.conf import settings
            from django.utils import timezone

            from agents.gateway import tokens
            from agents.gateway.models import Account
            from agents.gateway.tokens import Run

            through = f"{settings.GATEWAY_URL}/openai/v1/chat/completions"

            def token(project: uuid.UUID | None = None) -> str:
                run = Run(uuid.uuid4(), uuid.uuid4().hex, project_id=project)
                return tokens.issue(run, models=["openai/gpt-5"], now=timezone.now(), ttl_s=600)

            found = _figures(f"{url}/chat/completions", through, token())
            project = uuid.uuid4()
            issued = [token(project) for _ in range(50)]
            body = {"model": "gpt-5", "messages": [], "max_tokens": ANSWER_TOKENS}

            def ask(one: str) -> int:
                headers = {"authorization": f"Bearer {one}"}
                return httpx.post(through, json=body, headers=headers, timeout=120, trust_env=False).status_code

            with ThreadPoolExecutor(50) as pool:
                answered = list(pool.map(ask, issued))
            spent = Account.objects.get(scope="project", key=str(project)).spent_nanos / 1e9
            assert set(answered) <= {200, 402}, answered
            one_call = ANSWER_TOKENS * 10e-6
            found.append(report.at_most("spent by 50 calls at once with one dollar", spent, "dollars", 1 + one_call))
            found.append(Figure("of them answered", answered.count(200), "calls"))
    return found


if __name__ == "__main__":
    report.main(measure)
