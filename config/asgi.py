"""The web process: HTTP by Django, websockets by Channels."""

from __future__ import annotations

import os
import sys

from django.core.asgi import get_asgi_application

# A thread that asks the database lets the loop go on after so long: 5 ms, as it is, are what a key's echo waits for.
sys.setswitchinterval(0.000_5)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
http = get_asgi_application()

from config.sockets import websocket  # noqa: E402 - consumers need the apps that the line above has loaded

from channels.routing import ProtocolTypeRouter  # noqa: E402  isort:skip

application = ProtocolTypeRouter({"http": http, "websocket": websocket})
