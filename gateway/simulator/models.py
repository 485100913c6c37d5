"""The list of models, and each of them, in an API's shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

from midstream.simulator.directives import MODELS
from midstream.simulator.wire import encode_json

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, object]


def answer_models(
    method: str,
    path: str,
    describe: Callable[[str], Json],
    page_of: Callable[[list[Json]], Json],
) -> bytes | None:
    """Return the body for `GET /models` or `/models/NAME`; None for another, or an unknown one.

    Args:
        method, path: of the request.
        describe: a model, by its name.
        page_of: the list of them.
    """
    if method != "GET" or not path.startswith("/models"):
        return None
    name = path.removeprefix("/models").removeprefix("/")
    if name:
        return encode_json(describe(name)) if name in MODELS else None
    return encode_json(page_of([describe(model) for model in MODELS]))
