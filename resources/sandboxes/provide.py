"""Says which packages of a template are not here, or gets them from where the berth may reach.

    python3 -I -B -c <this file> missing NAME…      one JSON list on stdout
    python3 -I -B -c <this file> get PLACE NAME…    exit code 0, or what went wrong as the last line on stderr

Standard library only; runs inside the berth, with nobody's rights but its own. Debian's packages are fetched and put
beneath PLACE, none is installed and no script of theirs runs. ``pip:`` and ``npm:`` names go to those programs.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys

STATUS = "/var/lib/dpkg/status"
SOURCES = "/etc/apt"


class Failed(Exception):
    """A step that did not succeed; the argument says which."""


def by_manager(names):
    """{"deb" | "pip" | "npm": names without the prefix}."""
    found: dict[str, list[str]] = {}
    for name in names:
        manager, colon, rest = name.partition(":")
        known = bool(colon) and manager in ("pip", "npm")
        found.setdefault(manager if known else "deb", []).append(rest if known else name)
    return found


def missing(names):
    """The names that nothing here stands for; a name with ``pip:`` or ``npm:`` is here only once it was got."""
    installed = installed_here()
    return [name for name in names if name.startswith(("pip:", "npm:")) or not is_here(name, installed)]


def installed_here():
    """The names of Debian's packages that are installed; none where there is no dpkg."""
    try:
        with open(STATUS, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return set()
    stanzas = [stanza for stanza in text.split("\n\n") if "\nStatus: install ok installed\n" in stanza]
    return {stanza.partition("\n")[0].removeprefix("Package: ") for stanza in stanzas}


def is_here(name, installed):
    """Installed by dpkg, or a program of that name, or for ``python3-NAME`` a module of that name."""
    plain = re.split(r"[=:/]", name)[0]
    if plain in installed or shutil.which(plain):
        return True
    module = plain.removeprefix("python3-").replace("-", "_")
    return plain.startswith("python3-") and module.isidentifier() and has_module(module)


def has_module(module):
    """Whether the berth's Python, which is not the one that runs this without its site, can import it."""
    ask = [
        sys.executable,
        "-c",
        "import importlib.util, sys; sys.exit(not importlib.util.find_spec(sys.argv[1]))",
        module,
    ]
    return subprocess.run(ask, capture_output=True, check=False).returncode == 0


def get(place, names):
    """Everything, by its own manager."""
    os.makedirs(place, exist_ok=True)
    steps = {"deb": get_debian, "pip": get_python, "npm": get_node}
    for manager, wanted in by_manager(names).items():
        steps[manager](place, wanted)


def get_debian(place, names):
    """Fetched and unpacked with what they depend on, but for what dpkg has here already."""
    own = os.path.join(place, "apt")
    for part in ("state/lists/partial", "cache/archives/partial"):
        os.makedirs(os.path.join(own, part), exist_ok=True)
    options = [f"Dir::State={own}/state", f"Dir::State::status={status(own)}", f"Dir::Cache={own}/cache",
               "Dir::Cache::pkgcache=", "Dir::Cache::srcpkgcache=", "Acquire::GzipIndexes=true", "Debug::NoLocking=1",
               "APT::Sandbox::User=", "Acquire::Languages=none", "Acquire::Retries=2", *sources(own)]  # fmt: skip
    apt = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    do([*apt, "update"])
    do([*apt, "install", "--yes", "--no-install-recommends", "--download-only", "--", *names])
    archives = sorted(glob.glob(os.path.join(own, "cache/archives/*.deb")))
    if not archives:
        raise Failed(f"apt-get brought nothing for {' '.join(names)}")
    for archive in archives:
        do(["dpkg-deb", "--extract", archive, os.path.join(place, "root")])
    shutil.rmtree(own)  # its lists are larger than most of what they name


def status(own):
    """dpkg's list of what is here; an empty one where there is none."""
    if os.path.exists(STATUS):
        return STATUS
    path = os.path.join(own, "status")
    open(path, "a", encoding="utf-8").close()
    return path


def sources(own):
    """The operator's mirror where one is given, else what the image says."""
    line = os.environ.get("MOORAGE_DEBIAN_MIRROR")
    if not line:
        if not os.path.isdir(SOURCES):
            raise Failed("no Debian mirror is set (MOORAGE_DEBIAN_MIRROR), and the berth names none in /etc/apt")
        return []
    path = os.path.join(own, "sources.list")
    with open(path, "w", encoding="utf-8") as file:
        file.write(line + "\n")
    return [f"Dir::Etc::sourcelist={path}", "Dir::Etc::sourceparts=-"]


def get_python(place, names):
    """By pip into a directory that PYTHONPATH names."""
    pip = [sys.executable, "-m", "pip"]
    if subprocess.run([*pip, "--version"], capture_output=True, check=False).returncode:
        own = os.path.join(place, "pip")
        do([sys.executable, "-m", "venv", own])
        pip = [os.path.join(own, "bin", "python3"), "-m", "pip"]
    quiet = ["--no-input", "--disable-pip-version-check", "--no-cache-dir", "--upgrade"]
    do([*pip, "install", *quiet, "--target", os.path.join(place, "python"), "--", *names])


def get_node(place, names):
    """By npm beneath a prefix of its own."""
    do(["npm", "install", "--global", "--no-audit", "--no-fund", "--prefix", os.path.join(place, "node"), "--", *names])


def do(argv):
    """Run a step, its output where ours goes. Raises Failed."""
    try:
        code = subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, check=False).returncode
    except OSError as error:
        raise Failed(f"{argv[0]} cannot be started: {error.strerror}") from error
    if code:
        raise Failed(f"{os.path.basename(argv[0])} ended with exit code {code}")


def main(arguments):
    """See above."""
    if arguments[0] == "missing":
        json.dump(missing(arguments[1:]), sys.stdout)
        return 0
    try:
        get(arguments[1], arguments[2:])
    except Failed as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
