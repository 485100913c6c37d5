"""Writes a model file that repeats scripts: a GGUF of some megabytes, for a real inference server.

The model is a Markov chain over tokens. Embeddings are one-hot, attention and feed-forward
are zero, and the output matrix maps each token to the next of its script: the next token depends
only on the last one, at any temperature. Each script begins with a control token of its own, and
the chat template chooses the one that ends a prompt. So the script shows how the server read the
request: with tools, with a result, with an earlier thought.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import struct
from array import array
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    Value = int | float | bool | str | Sequence[str] | Sequence[int]

END: Final = "<|im_end|>"
START: Final = "<|im_start|>"

_ALIGNMENT: Final = 32
_HEAD: Final = 32
_CONTEXT: Final = 8192
_CERTAIN: Final = 3.0
"""Weight of the next token; times the norm's factor of about 20 it excludes all others."""

_NORMAL, _CONTROL = 1, 3
_TYPES: Final = {bool: 7, str: 8}
_UINT32, _INT32, _FLOAT32, _STRING, _ARRAY = 4, 5, 6, 8, 9


def opener(name: str) -> str:
    """Return the token at a prompt's end that starts the script of this name."""
    return f"<|{name}|>"


def write_scripted_model(path: Path, scripts: Mapping[str, str], template: str) -> None:
    """Write a model.

    Args:
        path: the file's path.
        scripts: the scripts by name; see `opener`.
        template: the chat template, in Jinja.
    """
    vocabulary = _Vocabulary([END, START, *map(opener, scripts)])
    following: dict[int, int] = {}
    for name, text in scripts.items():
        token = vocabulary.ids[opener(name)]
        for piece in vocabulary.add(text):
            following[token] = piece
            token = piece
        following[token] = vocabulary.ids[END]
    metadata = _metadata(vocabulary, template)
    _write(path, metadata, _tensors(len(vocabulary.tokens), following, vocabulary.ids[END]))


class _Vocabulary:
    """All bytes, so that any prompt can be read; control tokens; and the pieces of the scripts."""

    def __init__(self, control: Sequence[str]) -> None:
        self.tokens = [*control, *_BYTES.values(), "th"]
        self.types = [_CONTROL] * len(control) + [_NORMAL] * (len(self.tokens) - len(control))
        self.ids = {token: index for index, token in enumerate(self.tokens)}

    def add(self, text: str) -> Iterable[int]:
        """Yield the tokens of a script, each of them new: no token has two successors."""
        begin = 0
        while begin < len(text):
            length = 2
            while _encoded(text[begin : begin + length]) in self.ids:
                length += 1
            # A single remaining letter gets no token of its own.
            if len(text) - begin - length < 2:
                length = len(text) - begin
            token = _encoded(text[begin : begin + length])
            assert token not in self.ids, f"nothing tells the end of {text!r} from what was before"
            self.ids[token] = len(self.tokens)
            self.tokens.append(token)
            self.types.append(_NORMAL)
            yield self.ids[token]
            begin += length


def _printable_bytes() -> dict[int, str]:
    """Return the letter that stands for each byte in a byte-level vocabulary, as GPT-2's."""
    plain = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain}
    letters |= {byte: chr(256 + index) for index, byte in enumerate(others)}
    return dict(sorted(letters.items()))


_BYTES: Final = _printable_bytes()


def _encoded(text: str) -> str:
    return "".join(_BYTES[byte] for byte in text.encode())


def _width(tokens: int) -> int:
    return -(-tokens // 64) * 64


def _metadata(vocabulary: _Vocabulary, template: str) -> dict[str, Value]:
    end = vocabulary.ids[END]
    return {
        "general.architecture": "llama",
        "general.name": "scripted",
        "llama.context_length": _CONTEXT,
        "llama.embedding_length": _width(len(vocabulary.tokens)),
        "llama.block_count": 1,
        "llama.feed_forward_length": _HEAD,
        "llama.attention.head_count": 1,
        "llama.attention.head_count_kv": 1,
        "llama.attention.key_length": _HEAD,
        "llama.attention.value_length": _HEAD,
        "llama.attention.layer_norm_rms_epsilon": 1e-6,
        "llama.rope.dimension_count": _HEAD,
        "llama.vocab_size": len(vocabulary.tokens),
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": vocabulary.tokens,
        "tokenizer.ggml.token_type": vocabulary.types,
        "tokenizer.ggml.merges": ["t h"],
        "tokenizer.ggml.bos_token_id": end,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": template,
    }


def _tensors(
    tokens: int, following: Mapping[int, int], end: int
) -> dict[str, tuple[tuple[int, ...], array[float]]]:
    """Return each tensor's shape, innermost dimension first, and its numbers."""
    width = _width(tokens)
    embedding = _zeros(tokens, width)
    output = _zeros(tokens, width)
    for token in range(tokens):
        embedding[token * width + token] = 1.0
        output[following.get(token, end) * width + token] = _CERTAIN
    ones = array("f", [1.0]) * width
    block = "blk.0."
    return {
        "token_embd.weight": ((width, tokens), embedding),
        "output_norm.weight": ((width,), ones),
        "output.weight": ((width, tokens), output),
        f"{block}attn_norm.weight": ((width,), ones),
        f"{block}ffn_norm.weight": ((width,), ones),
        **{
            f"{block}{name}.weight": (shape, _zeros(*shape))
            for name, shape in {
                "attn_q": (width, _HEAD),
                "attn_k": (width, _HEAD),
                "attn_v": (width, _HEAD),
                "attn_output": (_HEAD, width),
                "ffn_gate": (width, _HEAD),
                "ffn_up": (width, _HEAD),
                "ffn_down": (_HEAD, width),
            }.items()
        },
    }


def _zeros(*shape: int) -> array[float]:
    return array("f", [0.0]) * math.prod(shape)


def _write(
    path: Path,
    metadata: Mapping[str, Value],
    tensors: Mapping[str, tuple[tuple[int, ...], array[float]]],
) -> None:
    head = bytearray(b"GGUF")
    head += struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += _string(key) + _value(value)
    offset = 0
    for name, (shape, numbers) in tensors.items():
        head += _string(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += struct.pack("<IQ", 0, offset)
        offset += _aligned(len(numbers) * 4)
    with path.open("wb") as file:
        file.write(head.ljust(_aligned(len(head)), b"\0"))
        for _, numbers in tensors.values():
            data = numbers.tobytes()
            file.write(data.ljust(_aligned(len(data)), b"\0"))


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Value) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", _UINT32, value)
    if isinstance(value, float):
        return struct.pack("<If", _FLOAT32, value)
    if isinstance(value, str):
        return struct.pack("<I", _STRING) + _string(value)
    kind = _STRING if isinstance(value[0], str) else _INT32
    items = b"".join(_string(x) if isinstance(x, str) else struct.pack("<i", x) for x in value)
    return struct.pack("<IIQ", _ARRAY, kind, len(value)) + items
