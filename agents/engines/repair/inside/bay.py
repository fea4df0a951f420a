"""The copy that everything runs in, and pytest in it."""

from __future__ import annotations

import gc
import importlib.machinery
import os
import shutil
import signal
import sys
import types
from collections.abc import Callable
from typing import Any

from .naming import junit_name
from .pool import Pool
from .tracing import Tracer

IGNORED = {".git", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", "node_modules"}


class Bay:
    """The copy of the checkout that everything runs in."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.job = job
        self.root = os.path.realpath(job["scratch"])
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.copytree(".", self.root, symlinks=True, ignore=lambda _, names: [n for n in names if n in IGNORED])
        os.chdir(self.root)
        self._where: dict[str, str] = {}
        if job["module_run"]:
            sys.path.insert(0, self.root)

    def where(self, filename: str) -> str:
        """The path beneath the root, or "" for everybody else's files."""
        known = self._where.get(filename)
        if known is None:
            path = os.path.realpath(filename) if filename[:1] != "<" else ""
            inside = path.startswith(self.root + os.sep)
            known = self._where[filename] = path[len(self.root) + 1 :] if inside else ""
        return known

    def changed(self, candidate: dict[str, Any]) -> bytes:
        """The candidate's file with its edits: byte spans of the original, which do not overlap."""
        with open(os.path.join(self.root, candidate["path"]), "rb") as file:
            content = file.read()
        for start, stop, text in sorted(candidate["edits"], reverse=True):
            content = content[:start] + text.encode() + content[stop:]
        return content


class Results:
    """A pytest plugin: what each test came to, and where exceptions passed through the project.

    Tests that the job sets aside are not there at all: they failed before, and are none of its business.
    """

    def __init__(self, bay: Bay) -> None:
        self.bay = bay
        self.outcomes: dict[str, str] = {}
        self.crash: list[list[Any]] = []
        self.broken: list[str] = []

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        aside, only = set(self.bay.job["aside"]), set(self.bay.job.get("only", ()))
        items[:] = [
            item for item in items if junit_name(item.nodeid) not in aside and (not only or item.nodeid in only)
        ]

    def pytest_runtest_logreport(self, report: Any) -> None:
        before = self.outcomes.get(report.nodeid, "passed")
        self.outcomes[report.nodeid] = report.outcome if before == "passed" else before

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.broken.append(report.nodeid)

    def pytest_exception_interact(self, call: Any) -> None:
        frame = call.excinfo.tb
        while frame is not None:
            path = self.bay.where(frame.tb_frame.f_code.co_filename)
            if path:
                self.crash.append([path, frame.tb_lineno])
            frame = frame.tb_next
        del self.crash[:-8]


class Warm(Results):
    """The plugin that takes over once pytest has collected: it forks instead of running."""

    def __init__(self, bay: Bay, act: Callable[[Warm, list[Any]], Any], tracer: Tracer | None = None) -> None:
        super().__init__(bay)
        self.act, self.tracer, self.answer = act, tracer, None
        self.functions: list[types.FunctionType] = []
        self.pool = Pool(bay.job["workers"], bay.job["memory_mb"])

    def pytest_runtestloop(self, session: Any) -> bool:
        sys.settrace(None)
        self.functions = [thing for thing in gc.get_objects() if type(thing) is types.FunctionType]
        gc.collect()
        gc.freeze()  # a child that collects garbage would copy every page; frozen objects cannot be listed any more
        self.answer = self.act(self, session.items)
        return True

    def run(self, item: Any, limit_s: float) -> str:
        """One test, in this process. A process that is over its limit is killed by the kernel."""
        from _pytest.runner import runtestprotocol

        # Nobody reads the text of a failure here, and pytest takes a second to write that of a deep recursion.
        item.repr_failure = item._repr_failure_py = lambda *_, **__: "failed"
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        reports = runtestprotocol(item, log=False, nextitem=None)
        for report in reports:
            self.pytest_runtest_logreport(report)
        return self.outcomes.pop(item.nodeid, "failed")


def run_with(bay: Bay, path: str, source: bytes, arguments: list[str]) -> Results:
    """A whole pytest session in this process, which sees ``source`` in place of the file."""
    import pytest

    for name, module in list(sys.modules.items()):
        if bay.where(getattr(module, "__file__", "") or ""):
            del sys.modules[name]
    target, read = os.path.join(bay.root, path), importlib.machinery.SourceFileLoader.get_data

    def get_data(self: Any, name: str) -> bytes:
        return source if os.path.realpath(name) == target else read(self, name)

    importlib.machinery.SourceFileLoader.get_data = get_data  # type: ignore[method-assign, assignment]
    results = Results(bay)
    pytest.main(arguments, plugins=[results])
    return results
