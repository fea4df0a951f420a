"""Pictures and files in a request: what they may cost beyond the bytes that carry them.

A picture costs by its size in pixels, which an address of forty letters does not tell. A file that lies elsewhere may
have any number of pages: nobody can reserve for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agents.gateway.faults import BadCall

PICTURE_TOKENS = 5000  # the most that one costs at OpenAI and Anthropic, which make larger ones smaller
_PICTURES = {"image", "image_url", "input_image"}
_FILES = {"document", "file", "input_file", "container_upload"}
_ELSEWHERE = ("file_id", "file_url", "url")
_WITHIN = ("messages", "input", "system", "content", "output", "source")


def tokens(document: Mapping[str, Any]) -> int:
    """The most that the pictures of a request can come to. Raises :class:`BadCall` for a file that lies elsewhere."""
    pictures = 0
    for part in _parts(document):
        kind = part.get("type")
        images = part.get("images")  # of Ollama's messages
        pictures += (kind in _PICTURES) + (len(images) if isinstance(images, list) else 0)
        if kind in _FILES and _lies_elsewhere(part):
            raise BadCall("A file that lies elsewhere is not passed on: its length is not known. Send what is in it.")
    return pictures * PICTURE_TOKENS


def _lies_elsewhere(part: Mapping[str, Any]) -> bool:
    """Whether it names a file instead of holding it, in the words of any dialect."""
    holders = (part, part.get("file"), part.get("source"))
    return part.get("type") == "container_upload" or any(
        isinstance(holder, dict) and any(holder.get(name) for name in _ELSEWHERE) for holder in holders
    )


def _parts(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The request and all that stands in its messages."""
    left: list[Any] = [document]
    while left:
        one = left.pop()
        if isinstance(one, list):
            left.extend(one)
        elif isinstance(one, dict):
            yield one
            left.extend(one[name] for name in _WITHIN if name in one)
