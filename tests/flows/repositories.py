"""Small Python projects as real remotes, and the requirements that change them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CALC = "def add(a, b):\n    return a + b\n\n\ndef sub(a, b):\n    return a + b\n"
TESTS = (
    "from calc import add, sub\n\n\ndef test_add():\n    assert add(2, 3) == 5\n\n\n"
    "def test_sub():\n    assert sub(5, 3) == 2\n"
)
PROJECT = {"calc.py": CALC, "test_calc.py": TESTS}

FIX = """Subtract instead of adding.

```diff
--- a/calc.py
+++ b/calc.py
@@ -4,3 +4,3 @@

 def sub(a, b):
-    return a + b
+    return a - b
```
"""
BREAK = """Break what worked.

```diff
--- a/calc.py
+++ b/calc.py
@@ -1,2 +1,2 @@
 def add(a, b):
-    return a + b
+    return a - b
```
"""


@dataclass(frozen=True, slots=True)
class Remote:
    """A bare repository."""

    path: Path

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        """Ask it, or change it, as somebody else would."""
        when = "@1700000000 +0000"
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_AUTHOR_DATE": when,
            "GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_COMMITTER_DATE": when,
        }  # fmt: skip
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=environment, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def branches(self) -> dict[str, str]:
        """Branch → commit."""
        lines = self.git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads").splitlines()
        return {name: commit for name, _, commit in (line.partition(" ") for line in lines)}

    def commit(self, files: Mapping[str, str], *, branch: str = "main", parent: str = "") -> str:
        """A commit of exactly these files on a branch."""
        listed = "".join(
            f"100644 blob {self.git('hash-object', '-w', '--stdin', stdin=text.encode())}\t{name}\n"
            for name, text in files.items()
        )
        tree = self.git("mktree", stdin=listed.encode())
        made = self.git("commit-tree", tree, *(("-p", parent) if parent else ()), "-m", "Change")
        self.git("update-ref", f"refs/heads/{branch}", made)
        return made

    def hook(self, name: str, script: str) -> None:
        """A hook that the remote runs when somebody pushes."""
        path = self.path / "hooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


def make(path: Path, files: Mapping[str, str] | None = None) -> Remote:
    """A bare remote with one commit of these files on ``main``; without any files none."""
    path.mkdir(parents=True)
    remote = Remote(path)
    remote.git("init", "--quiet", "--bare", "--initial-branch=main")
    if files:
        remote.commit(files)
    return remote
