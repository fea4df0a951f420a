"""What tests are called: in a JUnit report, and by a person who writes about them."""

from __future__ import annotations

import re


def junit_name(nodeid: str) -> str:
    """The name that the test has in a JUnit report of pytest, as Moorage keeps it."""
    address, bracket, parameters = nodeid.partition("[")
    names = address.split("::")
    names[0] = names[0].removesuffix(".py").replace("/", ".")
    group, name = ".".join(names[:-1]), names[-1] + bracket + parameters
    return (f"{group}::{name}" if group else name)[:300]


def words_for(test: str) -> set[str]:
    """What names the test of a JUnit report: its function, class and file, and the module that the file tests."""
    group, _, function = test.partition("[")[0].rpartition("::")
    parts = [part for part in re.split(r"[.:/]+", group) if part]
    files = [part for part in parts if part.startswith("test_") or part.endswith("_test")]
    return {function, *files, *(file.removeprefix("test_").removesuffix("_test") for file in files)} - {""} | {
        part for part in parts if part[:1].isupper()
    }
