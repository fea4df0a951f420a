"""One part of the stack as a process of its own, for hosts where something else supervises: containers, systemd.

``python -m config.part NAME`` becomes that part, exactly as ``make up`` runs it. ``--probe`` asks instead whether the
running part is up: exit code 0, or 1 with the reason. ``--address`` opens its port elsewhere than on loopback.
"""

from __future__ import annotations

import argparse
import os
import sys

from config.environment import BadSetting
from config.parts import ROOT, parts
from events.faults import Fault


def main() -> int:
    """Replaces this process; returns only for ``--probe`` and where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m config.part")
    parser.add_argument("name")
    parser.add_argument("--probe", action="store_true", help="only say whether it is up")
    parser.add_argument("--address", default="127.0.0.1", help="address of its port (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        # Nobody but Flower reads its settings, or makes a password for it.
        leave_out = frozenset({"flower"} - {arguments.name})
        table = {part.name: part for part in parts(os.environ, leave_out=leave_out, address=arguments.address)}
    except (Fault, BadSetting) as problem:
        sys.stderr.write(f"{problem}\n")
        return 2
    part = table.get(arguments.name)
    if part is None:
        parser.error(f"there is no part {arguments.name!r}; there are {', '.join([*table, *leave_out])}")
    if not arguments.probe:
        os.chdir(ROOT)
        os.execvpe(part.argv[0], part.argv, {**os.environ, **part.environment})  # noqa: S606 - no shell
    reason = part.probe() if part.probe else "nobody can ask this part"
    if reason:
        sys.stderr.write(f"{part.name}: {reason}\n")
    return 1 if reason else 0


if __name__ == "__main__":
    sys.exit(main())
