"""The stream's own routes, whatever else config mounts."""

from django.urls import include, path

from events.api import urlpatterns as stream

urlpatterns = [path("api/v1/", include(stream))]
