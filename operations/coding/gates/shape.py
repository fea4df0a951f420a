"""Gates on names, kinds and sizes of files."""

from __future__ import annotations

from operations.coding.gates.subject import Subject, matches
from operations.coding.gates.verdicts import GateResult, verdict

_SYMLINK, _SUBMODULE = "120000", "160000"

_WORKFLOWS = (
    ".github/workflows/*", ".github/actions/*", ".gitea/workflows/*", ".forgejo/workflows/*", ".gitlab-ci.yml",
    ".circleci/*", ".travis.yml", ".drone.yml", "azure-pipelines.yml", "bitbucket-pipelines.yml", "Jenkinsfile",
    ".woodpecker.yml", ".woodpecker/*", ".buildkite/*", "appveyor.yml", "action.yml", "action.yaml",
)  # fmt: skip
# What starts by itself on the machine of whoever clones, opens or installs the repository.
_HOOKS = (
    ".husky/*", ".githooks/*", "hooks/pre-*", "hooks/post-*", "hooks/commit-msg", ".pre-commit-config.yaml",
    "lefthook.yml", ".lefthook.yml", ".envrc", ".vscode/tasks.json", ".vscode/launch.json", ".devcontainer/*",
    ".idea/runConfigurations/*", "sitecustomize.py", "*/sitecustomize.py", "usercustomize.py", "*/usercustomize.py",
    "*.pth", ".npmrc", "*/.npmrc", ".yarnrc*", ".gitconfig", ".gitattributes", "*/.gitattributes",
)  # fmt: skip


def size(subject: Subject) -> GateResult:
    """No more files, lines and bytes than the template lets."""
    diff, limits = subject.diff, subject.limits
    lines = diff.insertions + diff.deletions
    found = []
    if diff.files > limits["max_files"]:
        found.append(f"{diff.files} files changed, {limits['max_files']} allowed")
    if lines > limits["max_changed_lines"]:
        found.append(f"{lines} lines changed, {limits['max_changed_lines']} allowed")
    found += [f"{path} has {n} bytes" for path, n in subject.sizes.items() if n > limits["max_file_bytes"]]
    if diff.truncated:
        found.append("the diff is too big to be looked at")
    return verdict("size", found, f"{diff.files} files, {lines} lines")


def protected(subject: Subject) -> GateResult:
    """No path that the template protects."""
    found = [
        f"{change.path} is protected by {pattern}"
        for change in subject.diff.changes
        for pattern in subject.limits.get("protected_paths", [])
        if matches(change.path, (pattern, pattern.removeprefix("**/")))  # **/x is also x at the top
    ]
    return verdict("protected paths", found, "no protected path changed")


def binaries(subject: Subject) -> GateResult:
    """Nothing that a reviewer cannot read."""
    found = [f"{change.path} is binary" for change in subject.diff.changes if change.binary and change.status != "D"]
    return verdict("binaries", found, "only text files")


def symlinks(subject: Subject) -> GateResult:
    """No new or changed symbolic link."""
    links = [change for change in subject.diff.changes if change.status != "D" and change.mode == _SYMLINK]
    return verdict("symlinks", [f"{change.path} is a symbolic link" for change in links], "none")


def submodules(subject: Subject) -> GateResult:
    """No repository inside the repository comes, goes, or moves."""
    found = [
        f"{change.path} is a submodule"
        for change in subject.diff.changes
        if _SUBMODULE in (change.mode, change.mode_before) or change.path == ".gitmodules"
    ]
    return verdict("submodules", found, "none")


def hooks(subject: Subject) -> GateResult:
    """Nothing that starts by itself on somebody's machine."""
    found = [f"{change.path} starts by itself" for change in subject.diff.changes if _is_hook(subject, change.path)]
    return verdict("hooks", found, "none")


def _is_hook(subject: Subject, path: str) -> bool:
    if path.endswith(".gitattributes"):  # only filters and drivers run something
        return any(
            line.path == path and any(word in line.text for word in ("filter=", "diff=", "merge="))
            for line in subject.added
        )
    return matches(path, _HOOKS) and any(
        change.path == path and change.status != "D" for change in subject.diff.changes
    )


def workflows(subject: Subject) -> GateResult:
    """No file that tells a build server what to run, with whatever secrets that has."""
    found = [f"{change.path} is run by the build server" for change in subject.diff.changes
             if matches(change.path, _WORKFLOWS)]  # fmt: skip
    return verdict("workflow files", found, "none")
