"""The stream's own routes, whatever else config mounts, and a page that follows a berth."""

from pathlib import Path

from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from events.api import urlpatterns as stream

PAGE = """<!doctype html><title>none</title>
<p data-live-status></p>
<p data-live-topic="berth.a" data-live-cursor="0" data-live-field="berth.a.status"></p>
<form><input><span data-live-field="berth.a.status">as typed</span></form>
<script src="/page.js"></script><script src="/static/moorage/live.js"></script>"""


def page(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(PAGE)


def script(_request: HttpRequest) -> HttpResponse:
    text = Path(__file__).with_name("page.js").read_text()
    return HttpResponse(text, content_type="text/javascript")


urlpatterns = [path("api/v1/", include(stream)), path("page", page), path("page.js", script)]
