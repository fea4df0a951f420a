"""Gates on names, kinds and sizes of files."""

from __future__ import annotations

from operations.coding.gates.subject import Subject, folded, lands_on
from operations.coding.gates.verdicts import GateResult, verdict

_SYMLINK, _SUBMODULE = "120000", "160000"

# Each also beneath any folder: a part of a repository may be the whole of another one.
_WORKFLOWS = (
    ".github/workflows/*", ".github/actions/*", ".gitea/workflows/*", ".gitea/actions/*", ".forgejo/workflows/*",
    ".forgejo/actions/*", ".gitlab-ci.yml", ".gitlab/ci/*", ".circleci/*", ".travis.yml", ".drone.y*ml",
    "azure-pipelines*.yml", ".azure-pipelines/*", ".azuredevops/*", "bitbucket-pipelines.yml", "Jenkinsfile*",
    ".woodpecker.y*ml", ".woodpecker/*", ".buildkite/*", "appveyor.yml", ".appveyor.yml", "action.y*ml",
    ".cirrus.yml", ".cirrus.star", ".tekton/*", "cloudbuild.y*ml", "buildspec.y*ml", ".readthedocs.y*ml",
    "netlify.toml", ".semaphore/*", ".teamcity/*", ".builds/*", ".build.yml", ".github/dependabot.yml",
    "renovate.json*", ".renovaterc*", "CODEOWNERS", ".github/settings.yml",
)  # fmt: skip
_GIT_HOOKS = (
    "applypatch-msg", "commit-msg", "fsmonitor-watchman", "post-applypatch", "post-checkout", "post-commit",
    "post-merge", "post-rewrite", "post-update", "pre-applypatch", "pre-auto-gc", "pre-commit", "pre-merge-commit",
    "pre-push", "pre-rebase", "pre-receive", "prepare-commit-msg", "push-to-checkout", "reference-transaction",
)  # fmt: skip
# What starts by itself on the machine of whoever clones, opens or installs the repository, or sets an agent up there.
_HOOKS = (
    ".husky/*", ".githooks/*", "git-hooks/*", "githooks/*", *(f"hooks/{name}" for name in _GIT_HOOKS),
    ".pre-commit-config.yaml", ".pre-commit-hooks.yaml", "lefthook.y*ml", ".lefthook.y*ml", "lefthook.toml",
    ".lefthook/*", ".overcommit.yml", ".simple-git-hooks.*", "simple-git-hooks.*", ".envrc",
    ".vscode/tasks.json", ".vscode/launch.json", ".vscode/settings.json", ".vscode/extensions.json",
    "*.code-workspace", ".devcontainer/*", ".devcontainer.json", ".idea/runConfigurations/*",
    ".idea/watcherTasks.xml", ".exrc", ".vimrc", ".nvimrc", ".nvim.lua", ".dir-locals.el", ".gdbinit", ".lldbinit",
    ".bazelrc", ".cargo/config", ".cargo/config.toml", ".mvn/extensions.xml", ".mvn/jvm.config", ".pnpmfile.cjs",
    ".yarn/plugins/*", ".yarn/releases/*", ".npmrc", ".yarnrc*", "pip.conf", ".pypirc", "sitecustomize.py",
    "usercustomize.py", "*.pth", ".gitconfig", ".lfsconfig", ".gitattributes", ".claude/*", ".cursor/*", ".mcp.json",
    ".gemini/*", ".codex/*", ".aider*",
)  # fmt: skip


def _anywhere(globs: tuple[str, ...]) -> tuple[str, ...]:
    return (*globs, *(f"*/{glob}" for glob in globs))


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
    return verdict("size", found, f"{diff.files} file{'s' * (diff.files != 1)}, {lines} line{'s' * (lines != 1)}")


def protected(subject: Subject) -> GateResult:
    """No path that the template protects."""
    found = [
        f"{change.path} is protected by {pattern}"
        for change in subject.diff.changes
        for pattern in subject.limits.get("protected_paths", [])
        if lands_on(change.path, (pattern, pattern.removeprefix("**/")))  # **/x is also x at the top
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
        if _SUBMODULE in (change.mode, change.mode_before) or folded(change.path) == ".gitmodules"
    ]
    return verdict("submodules", found, "none")


def hooks(subject: Subject) -> GateResult:
    """Nothing that starts by itself on somebody's machine."""
    found = [f"{change.path} starts by itself" for change in subject.diff.changes if _is_hook(subject, change.path)]
    return verdict("hooks", found, "none")


def _is_hook(subject: Subject, path: str) -> bool:
    if folded(path).endswith(".gitattributes"):  # only filters and drivers run something
        return any(
            line.path == path and any(word in line.text for word in ("filter=", "diff=", "merge="))
            for line in subject.added
        )
    return lands_on(path, _anywhere(_HOOKS)) and any(
        change.path == path and change.status != "D" for change in subject.diff.changes
    )


def workflows(subject: Subject) -> GateResult:
    """No file that tells a build server what to run, with whatever secrets that has."""
    found = [f"{change.path} tells a build server or the forge what to do" for change in subject.diff.changes
             if lands_on(change.path, _anywhere(_WORKFLOWS))]  # fmt: skip
    return verdict("workflow files", found, "none")
