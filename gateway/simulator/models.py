"""The lists of models, in both providers' shapes."""

from __future__ import annotations

from midstream.simulator.directives import MODELS
from midstream.simulator.wire import encode_json

# Both APIs tell when a model was made; the simulator's were made at no time in particular.
_CREATED = 1_760_000_000
_CREATED_AT = "2025-10-09T08:53:20Z"


def answer_models(path: str) -> bytes | None:
    """Return the body for a models path, None if it is none or the model is unknown."""
    provider, separator, rest = path.partition("/v1/models")
    if not separator or provider not in ("/anthropic", "/openai"):
        return None
    describe = _describe_anthropic if provider == "/anthropic" else _describe_openai
    name = rest.removeprefix("/")
    if name:
        return encode_json(describe(name)) if name in MODELS else None
    models = [describe(model) for model in MODELS]
    if provider == "/openai":
        return encode_json({"object": "list", "data": models})
    page = {"has_more": False, "first_id": models[0]["id"], "last_id": models[-1]["id"]}
    return encode_json({"data": models, **page})


def _describe_anthropic(name: str) -> dict[str, object]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _CREATED_AT}


def _describe_openai(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "simulator"}
