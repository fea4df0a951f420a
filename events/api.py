"""``/api/v1/events/stream``: the live stream as server-sent events, for clients that want no websocket.

The caller is proved and errors are rendered by whatever REST_FRAMEWORK names in the settings: this room does not know.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.db import DatabaseError
from django.http import HttpRequest, StreamingHttpResponse
from django.urls import path
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from events import cursors, hub, policy
from events.feed import Feed, SignedOut
from events.protocol import BadTopics, TopicRefused, cursors_of, error_text, topic_parts, topics_of

HEARTBEAT_S = 15.0
# A stream ends after this long and the client comes back with its cursor, newly authenticated.
LIFE_S = 600.0
RETRY_MS = 1000


class Stream(APIView):
    """The live stream as server-sent events."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> tuple[BaseRenderer, str]:
        """Problem documents are JSON also for a caller that accepts ``text/event-stream`` only."""
        return JSONRenderer(), JSONRenderer.media_type

    @extend_schema(
        operation_id="events_stream",
        summary="Follow topics as server-sent events",
        description=(
            "Each event's data is one message of the live stream, its id a cursor of all topics: send the last one "
            "as Last-Event-ID to go on from there."
        ),
        parameters=[
            OpenApiParameter("topics", str, required=True, description="Comma-separated: operation.<id>,queue"),
            OpenApiParameter("after", str, description="Comma-separated topic:number, the last event already known."),
            OpenApiParameter(
                "Last-Event-ID", str, location=OpenApiParameter.HEADER, description="An id of this stream."
            ),
        ],
        responses={(200, "text/event-stream"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        topics = topics_of([part for part in request.query_params.get("topics", "").split(",") if part])
        after = _after(request)
        for topic in topics:
            topic_parts(topic)
        if refused := set(topics) - policy.allowed(request.user, topics):
            raise TopicRefused("There is no such topic for you.", topics=sorted(refused))
        events = _events(
            user=request.user,
            topics=topics,
            after=after,
            still_signed_in=lambda: _signed_in(self, request._request),
        )
        response = StreamingHttpResponse(events, content_type="text/event-stream")
        response["Cache-Control"] = "no-store"
        response["X-Accel-Buffering"] = "no"  # nginx would hold events back
        return response


def _after(request: Request) -> dict[str, int]:
    """The cursors to start from: those of the last event received, over those in the query."""
    given: dict[str, int] = {}
    for part in filter(None, request.query_params.get("after", "").split(",")):
        topic, colon, number = part.rpartition(":")
        if not colon or not (number.isascii() and number.isdigit()) or len(number) > 19:
            raise BadTopics(f"after of {part[:99]!r} is not topic:number.")
        given[topic] = int(number)
    last = request.headers.get("Last-Event-ID", "")
    return cursors_of({**given, **(cursors.decode(last) if last else {})})


def _signed_in(view: APIView, request: HttpRequest) -> Any:
    """The same caller, proved again: a token by the view's authenticators, a session by a fresh look at its store."""
    if "Authorization" not in request.headers:
        store = import_module(settings.SESSION_ENGINE).SessionStore(request.session.session_key)
        return get_user(SimpleNamespace(session=store))  # type: ignore[arg-type]
    try:
        return Request(request, authenticators=view.get_authenticators()).user
    except APIException:
        return None


async def _events(
    *,
    user: Any,
    topics: tuple[str, ...],
    after: dict[str, int],
    still_signed_in: Callable[[], Any],
    heartbeat_s: float = HEARTBEAT_S,
) -> AsyncIterator[str]:
    """The lines of the stream: a replay behind the cursors, then what happens, then a heartbeat where nothing does.

    Every ``heartbeat_s`` the caller's rights are proved again, however much happens.
    """
    feed = Feed(user=user, still_signed_in=still_signed_in, hub=hub.of_loop())
    now = asyncio.get_running_loop().time
    ends_at, proof_at = now() + LIFE_S, now() + heartbeat_s
    try:
        await feed.begin()
        opened = await feed.subscribe(topics, after=after)
        at = dict(opened.cursors)
        yield f"retry: {RETRY_MS}\nid: {cursors.encode(at)}\n\n"
        for topic, fault in opened.refused.items():
            yield f"data: {error_text(fault, topic=topic)}\n\n"
        feed.start(opened)
        while feed.topics and now() < ends_at:
            if now() >= proof_at:
                proof_at = now() + heartbeat_s
                feed.doubt()
            if lines := await _next(feed, at, heartbeat_s=heartbeat_s):
                yield lines
    except SignedOut:
        yield 'data: {"type":"error","code":"stream.signed_out","detail":"The session or token has ended."}\n\n'
    finally:
        feed.close()


async def _next(feed: Feed, at: dict[str, int], *, heartbeat_s: float) -> str:
    """What is due, as lines; moves the cursors ``at`` along. A comment when nothing was due for a while."""
    try:
        async with asyncio.timeout(heartbeat_s):
            await feed.wait()
        batch = await feed.take()
    except TimeoutError:
        return ": still here\n\n"
    except DatabaseError:
        await asyncio.sleep(1.0)
        return ": the journal cannot be read, trying again\n\n"
    lines = []
    for topic in batch.revoked:
        at.pop(topic, None)
        lines.append(f"data: {error_text(TopicRefused('You may no longer see this topic.'), topic=topic)}\n\n")
    for message in batch.messages:
        at[message.topic] = message.seq
        lines.append(f"id: {cursors.encode(at)}\ndata: {message.text}\n\n")
    return "".join(lines)


urlpatterns = [path("events/stream", Stream.as_view(), name="events-stream")]
