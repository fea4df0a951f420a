"""The web process under the benchmark: the real sockets, and beside them the same over the channel layer."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from config.asgi import http  # isort:skip - loads the apps, which the imports below need

from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from config.sockets import ExactOrigin, SignedIn, routes
from events import policy


def _anyone(_user: Any, _subject_id: str) -> bool:
    return True


policy.register("bench", _anyone)


class LayerConsumer(AsyncWebsocketConsumer):
    """The usual way: each socket a channel in a group, each message sent to the group."""

    async def connect(self) -> None:
        await self.channel_layer.group_add("bench", self.channel_name)
        await self.accept()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        await self.send(text_data='{"type":"subscribed"}')

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard("bench", self.channel_name)

    async def bench_event(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])


application = ProtocolTypeRouter(
    {"http": http, "websocket": ExactOrigin(SignedIn(URLRouter([*routes, path("ws/layer/", LayerConsumer.as_asgi())])))}
)
