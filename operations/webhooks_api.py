"""The HTTP face of webhooks. No user calls it: what a delivery carries is proved by its signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import path
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import exceptions, parsers, permissions, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from operations.coding import webhooks


class DeliveryTooLarge(exceptions.APIException):
    """A body above what a delivery of interest ever has."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"


class SignedBody(parsers.BaseParser):
    """``application/json`` as the bytes that were signed, up to a bound."""

    media_type = "application/json"

    def parse(  # type: ignore[override] # the signature is over bytes, whatever they mean
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> bytes:
        """Raises DeliveryTooLarge, having read no more than the bound."""
        content: bytes = stream.read(webhooks.BODY_BYTES + 1)
        if len(content) > webhooks.BODY_BYTES:
            raise DeliveryTooLarge(f"The body is larger than {webhooks.BODY_BYTES} bytes.")
        return content


class TakenSerializer(serializers.Serializer[webhooks.Taken]):
    """What became of a delivery."""

    delivery_id = serializers.CharField()
    duplicate = serializers.BooleanField()
    hinted = serializers.IntegerField(help_text="How many pull requests are looked at for it.")


def _header(name: str, words: str) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, required=True, description=words)


class GitHubWebhookView(APIView):
    """Takes deliveries of a GitHub webhook."""

    authentication_classes = ()
    permission_classes = (permissions.AllowAny,)
    parser_classes = (SignedBody,)

    @extend_schema(
        request={"application/json": OpenApiTypes.OBJECT},
        responses={202: TakenSerializer},
        parameters=[
            _header("X-Hub-Signature-256", "sha256= and the HMAC of the body."),
            _header("X-GitHub-Event", "The event's name."),
            _header("X-GitHub-Delivery", "The delivery's id; taken once."),
        ],
    )
    def post(self, request: Request) -> Response:
        """Take a delivery. It hints at pull requests; what happened there is read from the forge."""
        body = request.data if isinstance(request.data, bytes) else b""
        taken = webhooks.take(
            body=body,
            signature=request.headers.get("X-Hub-Signature-256", ""),
            event=request.headers.get("X-GitHub-Event", ""),
            delivery_id=request.headers.get("X-GitHub-Delivery", ""),
            now=timezone.now(),
        )
        return Response(TakenSerializer(taken).data, status.HTTP_202_ACCEPTED)


urlpatterns = [path("webhooks/github/", GitHubWebhookView.as_view(), name="webhook-github")]
