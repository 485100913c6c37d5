"""JSON that is still arriving."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from midstream.protocol.partial_json import parse_partial

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9999, 9999) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def partial(text: str) -> object:
    """Return what is made of a text."""
    raw = parse_partial(text)
    return UNSET if raw is UNSET else json.loads(bytes(raw))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", UNSET),
        ("nope", UNSET),
        ("{", {}),
        ('{"a', {}),
        ('{"a"', {}),
        ('{"a":', {}),
        ('{"a":"x', {"a": "x"}),
        ('{"a":"x\\', {"a": "x"}),
        ('{"a":"x\\n', {"a": "x\n"}),
        ('{"a":"x\\u00e', {"a": "x"}),
        ('{"a":"x\\u00e9', {"a": "xé"}),
        ('{"a":"x\\u00eg', {"a": "x"}),
        ('{"a":tr', {"a": True}),
        ('{"a":false', {"a": False}),
        ('{"a":nulx', UNSET),
        ('{"a":-', {}),
        ('{"a":1.', {"a": 1}),
        ('{"a":1e', {"a": 1}),
        ('{"a":12,', {"a": 12}),
        ('{"a":12}', {"a": 12}),
        ('{"a":12}x', {"a": 12}),
        ('{"a":1,"b"', {"a": 1}),
        ('{"a":[1,[2', {"a": [1, [2]]}),
        ('{"a":[1,2],"b":[{"c":3', {"a": [1, 2], "b": [{"c": 3}]}),
        ("[1,null", [1, None]),
        ("[true,", [True]),
        ("[1 2", UNSET),
        ("[]", []),
        ("[{},", [{}]),
        ("\n[1,\n2\n]\n", [1, 2]),
    ],
)
def test_partial_json_is_completed_as_clients_do(text: str, value: object) -> None:
    """Each of these was compared with `parsePartialJson` of ai 7."""
    assert partial(text) == value


@given(json_values)
def test_complete_json_is_itself(value: object) -> None:
    """Nothing is lost of a text that has arrived."""
    assert partial(json.dumps(value)) == value


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=3), st.data())
def test_every_beginning_of_an_object_is_an_object(
    value: dict[str, object], data: st.DataObject
) -> None:
    """A form that fills itself from a tool's input never sees it vanish."""
    text = json.dumps(value, ensure_ascii=False)
    cut = data.draw(st.integers(1, len(text)))
    shown = partial(text[:cut])
    assert isinstance(shown, dict)
    assert shown.keys() <= value.keys()
