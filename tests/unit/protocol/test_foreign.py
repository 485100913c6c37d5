"""Messages for agents that know less of the AI SDK's parts than this gateway."""

from __future__ import annotations

import json

import pytest

from midstream.protocol.foreign import foreign_form
from midstream.protocol.messages import UIMessage

TEXT = {"type": "text", "text": "One."}
MORE = {"type": "text", "text": "Two."}
SAID = [{"type": "text", "text": "Shorter."}]
STEER = {"type": "steering-message", "id": "s1", "parts": SAID}
NAMED = {"type": "text", "text": '"steering-message"'}
USAGE = {"type": "custom", "kind": "anthropic.message_start", "providerMetadata": {"a": {}}}
CUT = {"type": "custom", "kind": "openai.interrupted"}
KEPT = {"type": "custom", "kind": "openai.compaction", "providerMetadata": {"openai": {}}}
AGAIN = {"type": "steering-message", "id": "s2", "parts": SAID}


def answer(*parts: object) -> UIMessage:
    fields = {"id": "a", "role": "assistant", "metadata": {"model": "m"}, "parts": list(parts)}
    return UIMessage.parse(json.dumps(fields).encode())


def said(name: str) -> dict[str, object]:
    return {"id": name, "role": "user", "parts": SAID}


def before(index: int, *parts: object) -> dict[str, object]:
    return {"id": f"a:{index}", "role": "assistant", "parts": list(parts)}


def after(*parts: object) -> dict[str, object]:
    return {"id": "a", "role": "assistant", "metadata": {"model": "m"}, "parts": list(parts)}


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ([TEXT], [after(TEXT)]),
        ([], [after()]),
        ([TEXT, STEER, MORE], [before(1, TEXT), said("s1"), after(MORE)]),
        ([STEER, MORE], [said("s1"), after(MORE)]),
        ([TEXT, STEER], [before(1, TEXT), said("s1")]),
        (
            [TEXT, STEER, AGAIN, MORE, STEER, TEXT],
            [before(1, TEXT), said("s1"), said("s2"), before(4, MORE), said("s1"), after(TEXT)],
        ),
        ([NAMED], [after(NAMED)]),
        ([{"type": "steering-message"}, TEXT], [after({"type": "steering-message"}, TEXT)]),
        ([USAGE, TEXT, CUT, KEPT], [after(TEXT, KEPT)]),
        ([USAGE], [after()]),
        ([USAGE, STEER, USAGE, MORE], [said("s1"), after(MORE)]),
    ],
    ids=[
        "none",
        "empty",
        "between",
        "first",
        "last",
        "several",
        "named",
        "unreadable",
        "usage",
        "only-usage",
        "both",
    ],
)
def test_persons_message_stands_on_its_own_and_what_no_model_reads_is_left_out(
    parts: list[object], told: list[object]
) -> None:
    assert [json.loads(bytes(raw)) for raw in foreign_form(answer(*parts))] == told
