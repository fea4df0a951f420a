"""Template files of this host: what has changed on disk is judged and put into force; see :mod:`activation`.

News is what differs from what this host saw last, so that hosts with other files, or another release, do not
contradict each other all the time: the last change wins, wherever it was made.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from django.db import Error as DatabaseTrouble
from django.db import close_old_connections, transaction
from watchfiles import Change as FileChange
from watchfiles import watch as watch_files

from events.faults import Fault
from templates_app import active, library
from templates_app.activation import Change, Outcome, activate
from templates_app.documents import Document
from templates_app.faults import Located, TemplateFault
from templates_app.library import TemplateFile
from templates_app.models import SeenFile, Source, Template

log = logging.getLogger(__name__)

QUIET_MS = 150  # a change is over when nothing more came for so long: many files at once are one change
LONGEST_MS = 2_000
LOOK_ANYWAY_MS = 5_000  # where the kernel tells nothing (network mounts), and for directories made anew
_GONE = "gone"
_Verdict = SeenFile.Verdict


def sync(*, host: str, directories: Sequence[Path]) -> Outcome:
    """Put into force what has changed on this host's disk since it last looked. Nothing new costs two queries."""
    files = library.files(directories)
    seen = {row.name: row for row in SeenFile.objects.filter(host=host)}
    number = active.number()
    news = {name for name, file in files.items() if name not in seen or seen[name].stamp != file.stamp}
    news |= {name for name, row in seen.items() if name not in files and row.stamp != _GONE}
    # What was refused may fit now that something else has changed, here or anywhere.
    news |= {
        name for name, row in seen.items() if row.verdict == _Verdict.REFUSED and (news or row.judged_at != number)
    }
    if not news:
        return Outcome()
    rows = {row.name: row for row in Template.objects.select_related("current").filter(name__in=news)}
    changes = {name: _change(name, files.get(name), host=host, directories=directories) for name in news}
    changes = {
        name: change for name, change in changes.items()
        if (name in files and not (_late(name, files, seen, rows.get(name)) and _older(change, rows.get(name))))
        or (name not in files and _ours(rows.get(name), host=host))
    }  # fmt: skip
    outcome = activate(changes, actor=f"host:{host}") if changes else Outcome()
    _remember(news, files, changes, outcome, host=host)
    return outcome


def watch(stop: threading.Event, *, host: str, directories: Sequence[Path]) -> None:
    """Sync now and whenever a file changes, until told to stop. Trouble is logged and tried again."""
    _make(directories[-1])
    while not stop.is_set():
        places = _places(directories)
        _sync(host=host, directories=directories)
        for _ in watch_files(
            *[place for place, inode in places.items() if inode], watch_filter=_is_template, step=QUIET_MS,
            debounce=LONGEST_MS, rust_timeout=LOOK_ANYWAY_MS, yield_on_timeout=True, stop_event=stop, recursive=False,
            raise_interrupt=False,
        ):  # fmt: skip
            if _places(directories) != places:
                break  # a directory was made anew: the kernel would go on watching the one that went
            _sync(host=host, directories=directories)


def _sync(*, host: str, directories: Sequence[Path]) -> None:
    close_old_connections()
    try:
        outcome = sync(host=host, directories=directories)
    except (DatabaseTrouble, OSError, Fault) as error:
        log.warning("template files could not be taken; tried again soon", extra={"error": str(error)})
        return
    for name, fault in outcome.refused.items():
        log.warning("template refused", extra={"template": name, "error": str(fault)})
    if outcome.changed:
        log.info("templates activated", extra={"number": outcome.number, "count": len(outcome.changed)})


def _make(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        log.warning("no templates directory", extra={"directory": str(directory), "error": str(error)})


def _places(directories: Sequence[Path]) -> dict[Path, int]:
    """The directories with their inodes; 0 for one that does not exist."""
    places = {}
    for directory in directories:
        try:
            places[directory] = os.stat(directory).st_ino
        except OSError:
            places[directory] = 0
    return places


def _is_template(_change: FileChange, path: str) -> bool:
    name = os.path.basename(path)
    return name.endswith(".yaml") and not name.startswith(".")


def _change(name: str, file: TemplateFile | None, *, host: str, directories: Sequence[Path]) -> Change:
    if file is None:
        return Change(None, "", Source.FILE, host)
    source = Source.LIBRARY if file.directory == directories[0] else Source.FILE
    place = "" if source is Source.LIBRARY else host
    if not isinstance(file.found, Document):
        return Change(None, "", source, place, file.found)
    if "\0" in file.text:
        return Change(None, "", source, place, TemplateFault([Located(code="bad_character", message="holds a NUL")]))
    return Change(file.found, file.text, source, place)


def _late(name: str, files: Mapping[str, TemplateFile], seen: Mapping[str, SeenFile], row: Template | None) -> bool:
    """Whether a file did not change now: it is here for the first time, or tried again after a person has published."""
    if name not in seen:
        return True
    return seen[name].stamp == files[name].stamp and row is not None and row.source == Source.PUBLISHED


def _older(change: Change, row: Template | None) -> bool:
    """Whether a file that this host sees for the first time is behind what is in force, from somewhere else.

    A host that comes late, or with an older release, does not take anything back.
    """
    if row is None or row.current is None or change.document is None or change.document.digest == row.current.digest:
        return False
    if (row.source, change.source) == (Source.LIBRARY, Source.FILE):
        return False  # an operator's own file goes over a shipped one
    return _number(change.document.version) <= _number(row.current.version)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _ours(row: Template | None, *, host: str) -> bool:
    """Whether a file that has gone takes its template with it: not where another version came from elsewhere since."""
    return row is not None and (row.source == Source.LIBRARY or (row.source == Source.FILE and row.host == host))


def _remember(
    news: set[str], files: Mapping[str, TemplateFile], changes: Mapping[str, Change], outcome: Outcome, *, host: str
) -> None:
    number = outcome.number or active.number()
    with transaction.atomic():
        for name in sorted(news):
            if name not in files and name not in outcome.refused:
                SeenFile.objects.filter(host=host, name=name).delete()
                continue
            verdict = _Verdict.REFUSED if name in outcome.refused else _Verdict.TAKEN
            if name not in changes:
                verdict = _Verdict.OLDER
            SeenFile.objects.update_or_create(
                host=host, name=name[:63],
                defaults={"stamp": files[name].stamp if name in files else _GONE, "verdict": verdict,
                          "judged_at": number},
            )  # fmt: skip
