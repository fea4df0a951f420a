"""The web process: HTTP by Django, websockets by Channels."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
http = get_asgi_application()

from config.sockets import websocket  # noqa: E402 - consumers need the apps that the line above has loaded

from channels.routing import ProtocolTypeRouter  # noqa: E402  isort:skip

application = ProtocolTypeRouter({"http": http, "websocket": websocket})
