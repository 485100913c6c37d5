"""OpenAI at the proxy: its address, its key, its errors, and the contents of its messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import json

from midstream.providers.openai.hosts import is_openai
from midstream.providers.passthrough.api import ProxyVendor
from midstream.providers.passthrough.content import file_part

if TYPE_CHECKING:
    from midstream.errors import GatewayError
    from midstream.providers.passthrough.api import Header
    from midstream.providers.passthrough.content import Block, BlockReaders

_AUDIO: Final = {"wav": "audio/wav", "mp3": "audio/mpeg"}


def _chat_image(block: Block) -> Block | None:
    image = block.get("image_url")
    return file_part(image.get("url") if isinstance(image, dict) else image, "image/*")


def _audio(block: Block) -> Block | None:
    audio = block.get("input_audio")
    if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
        return None
    media_type = _AUDIO.get(str(audio.get("format")), "audio/*")
    return file_part(f"data:{media_type};base64,{audio['data']}", media_type)


def _chat_file(block: Block) -> Block | None:
    file = block.get("file")
    return _input_file(file) if isinstance(file, dict) else None


def _input_file(block: Block) -> Block | None:
    url = block.get("file_data") or block.get("file_url")
    return file_part(url, "application/octet-stream", block.get("filename"))


CONTENT: Final[BlockReaders] = {
    "image_url": _chat_image,
    "input_image": _chat_image,
    "input_audio": _audio,
    "file": _chat_file,
    "input_file": _input_file,
}
"""Contents of a user's message, of both APIs."""


def _key_header(key: str) -> Header:
    return b"authorization", b"Bearer " + key.encode()


def _error_body(error: GatewayError) -> bytes:
    status = error.http_status
    kind = "invalid_request_error" if status < 500 else "server_error"
    if status == 429:
        kind = "requests"  # there are too many of them, in OpenAI's words
    told = {**error.details, "code": error.code, "type": kind, "message": error.message}
    return json.encode({"error": {**told, "param": None}})


OPENAI: Final = ProxyVendor(
    base_url_variable="OPENAI_BASE_URL",
    base_url="https://api.openai.com/v1",
    in_base_url="v1/",
    is_own=is_openai,
    key_header=_key_header,
    error_body=_error_body,
)
