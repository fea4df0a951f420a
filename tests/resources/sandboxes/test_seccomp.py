"""The filter program itself, and the numbers it is made of."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from resources.sandboxes import seccomp
from resources.sandboxes.capture import Capture

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


@pytest.mark.parametrize("machine", sorted(seccomp.ARCHITECTURES))
@pytest.mark.parametrize("network", list(seccomp.Network))
def test_every_jump_lands_inside_and_every_path_ends_in_a_verdict(machine: str, network: seccomp.Network) -> None:
    program = seccomp.filter_program(machine=machine, network=network, forbid=("truncate",))
    steps = list(struct.iter_unpack("=HBBI", program))
    assert len(steps) < 4096
    for position, (code, if_true, if_false, value) in enumerate(steps):
        if code & 0x07 == 0x05:  # a jump
            assert position + 1 + max(if_true, if_false) < len(steps)
        if code == 0x06:
            assert value in (0x7FFF0000, 0x80000000) or value >> 16 == 5
    assert steps[-1][0] == 0x06


def test_unknown_architecture_is_an_error_not_an_empty_filter() -> None:
    with pytest.raises(KeyError):
        seccomp.filter_program(machine="vax", network=seccomp.Network.NONE)


def test_numbers_are_the_kernel_headers_ones() -> None:
    ours = seccomp.ARCHITECTURES["x86_64"].numbers
    kernel = {"socket": 41, "ptrace": 101, "unshare": 272, "mount": 165, "openat": 257, "prlimit64": 302}
    if HEADER.exists():
        kernel = {name: int(number) for name, number in re.findall(r"__NR_(\w+) (\d+)", HEADER.read_text())}
    wrong = {name: number for name, number in ours.items() if kernel.get(name, number) != number}
    assert wrong == {}


def verdict(program: bytes, number: int, arguments: tuple[int, ...] = (), audit: int = 0xC000003E) -> int:
    """Run the program as the kernel would."""
    padded = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", number, audit, 0, *padded)
    steps = list(struct.iter_unpack("=HBBI", program))
    at = accumulator = 0
    while True:
        code, if_true, if_false, value = steps[at]
        at += 1
        if code == 0x20:
            accumulator = struct.unpack_from("=I", data, value)[0]
        elif code == 0x54:
            accumulator &= value
        elif code == 0x06:
            return value
        else:
            tests = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}
            at += if_true if tests[code] else if_false


ALLOW, EPERM, EACCES, ENOSYS = 0x7FFF0000, 0x50001, 0x5000D, 0x50026


@pytest.mark.parametrize(
    ("network", "arguments", "expected"),
    [
        ("tcp-only", (2, 1, 0), ALLOW),
        ("tcp-only", (10, 1 | 0x80000, 6), ALLOW),
        ("tcp-only", (2, 1, 262), EACCES),
        ("tcp-only", (2, 2, 0), EACCES),
        ("tcp-only", (2, 3, 1), EACCES),
        ("tcp-only", (1, 1, 0), EACCES),
        ("tcp-only", (16, 3, 0), ALLOW),
        ("tcp-only", (16, 3, 9), EACCES),
        ("none", (2, 1, 0), EACCES),
        ("none", (1, 1, 0), EACCES),
        ("namespace", (1, 1, 0), ALLOW),
        ("namespace", (2, 2, 0), ALLOW),
        ("namespace", (40, 1, 0), EACCES),
        ("namespace", (17, 3, 0), EACCES),
    ],
)
def test_socket_verdicts(network: str, arguments: tuple[int, ...], expected: int) -> None:
    program = seccomp.filter_program(machine="x86_64", network=seccomp.Network(network))
    assert verdict(program, 41, arguments) == expected


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (0, (), ALLOW),
        (101, (), EPERM),
        (435, (), ENOSYS),
        (425, (), ENOSYS),
        (56, (17,), ALLOW),
        (56, (0x10000000,), EPERM),
        (302, (0, 7), ALLOW),
        (302, (4242, 7), EPERM),
        (90, (0, 0o755), ALLOW),
        (90, (0, 0o4755), EPERM),
        (257, (0, 0, 0, 0o6000), ALLOW),
        (257, (0, 0, 0x40, 0o4755), EPERM),
        (257, (0, 0, 0x40, 0o644), ALLOW),
        (16, (0, 0x5412), EPERM),
        (16, (0, 0x5413), ALLOW),
        (44, (0, 0, 0, 0x20000000), EPERM),
        (0x40000000, (), ENOSYS),
    ],
)
def test_call_verdicts(number: int, arguments: tuple[int, ...], expected: int) -> None:
    program = seccomp.filter_program(machine="x86_64", network=seccomp.Network.NONE)
    assert verdict(program, number, arguments) == expected


def test_calls_of_another_architecture_kill() -> None:
    program = seccomp.filter_program(machine="x86_64", network=seccomp.Network.NONE)
    assert verdict(program, 0, audit=0x40000003) == 0x80000000


@pytest.mark.parametrize("limit", [0, 1, 2, 9, 10, 11, 1000])
@pytest.mark.parametrize("piece", [1, 3, 100])
def test_capture_keeps_both_ends_within_its_limit(limit: int, piece: int) -> None:
    whole = bytes(range(48, 58))
    capture = Capture(limit)
    for start in range(0, len(whole), piece):
        capture.feed(whole[start : start + piece])
    if limit >= len(whole):
        assert (capture.content(), capture.truncated) == (whole, False)
        return
    assert capture.truncated
    head, _, tail = capture.content().partition(f"\n… {len(whole) - limit} bytes cut …\n".encode())
    assert head == whole[: limit // 2]
    assert tail == whole[len(whole) - (limit - limit // 2) :]
