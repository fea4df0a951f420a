"""The local forge: pull requests of remotes that have no forge of their own, kept as rows and merged from the console."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone

from operations.coding.forges.protocol import OpenedPullRequest, PullRequestDraft
from operations.models import Operation, PullRequest


class LocalForge:
    """Implements :class:`operations.coding.forges.protocol.Forge` on PullRequest rows of one operation's project."""

    name = "local"

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    def open_or_adopt(self, request: PullRequestDraft) -> OpenedPullRequest:
        """Two calls at once still make one row: the database has one open pull request per head."""
        if found := self._open(request):
            return _as_opened(found, adopted=True)
        try:
            with transaction.atomic():
                return _as_opened(self._create(request), adopted=False)
        except IntegrityError:
            found = self._open(request)
            if found is None:
                raise
            return _as_opened(found, adopted=True)

    def _open(self, request: PullRequestDraft) -> PullRequest | None:
        return PullRequest.objects.filter(
            project=self._operation.project, forge=self.name, head_branch=request.head_branch, state=PullRequest.State.OPEN
        ).first()

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
