"""The local forge: pull requests of remotes without a forge of their own, as rows, merged from the console."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from operations.coding.forges.protocol import Check, ForgeUnavailable, Known, OpenedPullRequest, PullRequestDraft, Seen
from operations.models import Operation, PullRequest

ATTEMPTS = 5


class LocalForge:
    """Implements :class:`operations.coding.forges.protocol.Forge` on PullRequest rows of one operation's project."""

    name, service = "local", ""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def open_or_adopt(self, request: PullRequestDraft) -> OpenedPullRequest:
        """Two calls at once still make one row: the database has one open pull request per head, and one per number."""
        for _attempt in range(ATTEMPTS):
            if found := self._found(request):
                return _as_opened(found, adopted=True)
            try:
                with transaction.atomic():
                    return _as_opened(self._create(request), adopted=False)
            except IntegrityError:
                continue  # somebody was first, with this head or with this number: look again
        raise ForgeUnavailable(f"{ATTEMPTS} times in a row another pull request took the next number")

    def look(self, known: Known) -> Seen:
        """The row, with what its own check said when it was delivered."""
        row = self._row(known)
        kept = Seen.from_dict(row.seen, etags={})
        checks, conflicts = (kept.checks, kept.conflicts) if kept else ((), False)
        return Seen(
            state=row.state, head_commit=row.head_commit, base_branch=row.base_branch, conflicts=conflicts,
            merged_commit=row.merged_commit, checks=checks,
        )  # fmt: skip

    def log_of(self, known: Known, check: Check) -> str:
        """The check's output is its summary already."""
        return ""

    def redescribe(self, known: Known, *, body: str) -> OpenedPullRequest:
        """A new body."""
        PullRequest.objects.filter(pk=self._row(known).pk).update(body=body)
        return _as_opened(self._row(known), adopted=True)

    def close(self, known: Known) -> None:
        """Nothing to do here: whoever asks keeps the state in the row."""

    def _row(self, known: Known) -> PullRequest:
        return PullRequest.objects.get(project=self._operation.project, forge=self.name, number=known.number)

    def _found(self, request: PullRequestDraft) -> PullRequest | None:
        """The open one of this head; else the one of this very commit that was merged or closed in between."""
        ours = PullRequest.objects.filter(
            project=self._operation.project, forge=self.name, head_branch=request.head_branch
        )
        return ours.filter(state=PullRequest.State.OPEN).first() or ours.filter(head_commit=request.head_commit).first()

    def _create(self, request: PullRequestDraft) -> PullRequest:
        project = self._operation.project
        mine = PullRequest.objects.filter(project=project, forge=self.name)
        number = (mine.aggregate(last=Max("number"))["last"] or 0) + 1
        row = PullRequest(
            project=project, operation=self._operation, forge=self.name, number=number, title=request.title,
            body=request.body, head_branch=request.head_branch, head_commit=request.head_commit,
            base_branch=request.base_branch, base_commit=request.base_commit, created_at=timezone.now(),
        )  # fmt: skip
        row.url = f"/admin/operations/pullrequest/{row.pk}/change/"
        row.save(force_insert=True)
        return row


def _as_opened(row: PullRequest, *, adopted: bool) -> OpenedPullRequest:
    return OpenedPullRequest(number=row.number, url=row.url, state=row.state, title=row.title, adopted=adopted)
