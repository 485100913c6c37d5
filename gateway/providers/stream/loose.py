"""Events whose side information has not the shape that their API documents.

A field of a wire Struct without a default makes content, and so does every other field that is
not marked `Side`: an event without it cannot be read. What is marked `Side` tells of the answer
(a model, an id, a count, a reason): one that cannot be read counts as absent.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar, Union, cast, get_args, get_origin

import msgspec
from msgspec import Raw, Struct

from midstream.protocol.codec import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_SIDE: Final = "side"

Side = Annotated[T, msgspec.Meta(extra={_SIDE: True})]
"""A field about the answer, which is no part of it."""


def read_loosely(kind: type[T], data: bytes | Raw) -> T:
    """Decode JSON as `kind`, without what of its side information cannot be read.

    For what the decoder has refused: it is slow.

    Raises:
        msgspec.MsgspecError, UnicodeDecodeError, RecursionError: content cannot be read.
    """
    return cast("T", _read(kind, data))


def reader(kind: type[T]) -> Callable[[bytes | Raw], T]:
    """Return what decodes JSON as `kind`: as documented, and else loosely."""
    decode = msgspec.json.Decoder(kind).decode

    def read(data: bytes | Raw) -> T:
        try:
            return decode(data)
        except UNREADABLE:
            return read_loosely(kind, data)

    return read


def _read(kind: Any, data: bytes | Raw) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except UNREADABLE as error:
        refused = error
    if get_origin(kind) is Annotated:
        return _read(get_args(kind)[0], data)
    if get_origin(kind) in (Union, types.UnionType):
        return _read_any_of(get_args(kind), data, refused)
    if get_origin(kind) is list:
        (item,) = get_args(kind)
        return [_read(item, each) for each in msgspec.json.decode(data, type=list[Raw])]
    if isinstance(kind, type) and issubclass(kind, Struct):
        return _read_struct(kind, data, refused)
    raise refused


def _read_any_of(kinds: tuple[Any, ...], data: bytes | Raw, refused: Exception) -> Any:
    for kind in kinds:
        if kind is type(None) or kind is msgspec.UnsetType or not _may_be(kind, data):
            continue
        try:
            return _read(kind, data)
        except UNREADABLE:
            continue
    raise refused


def _read_struct(kind: type[Struct], data: bytes | Raw, refused: Exception) -> Struct:
    given = msgspec.json.decode(data, type=dict[str, Raw])
    values: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        raw = given.get(field.encode_name)
        if raw is None:
            if field.required:
                raise refused
            continue
        try:
            values[field.name] = _read(field.type, raw)
        except UNREADABLE:
            if field.required or not _is_side(field.type):
                raise
    return kind(**values)


def _may_be(kind: Any, data: bytes | Raw) -> bool:
    """Whether one of several kinds is meant: the decoder itself misses no tag that is absent."""
    if not (isinstance(kind, type) and issubclass(kind, Struct)):
        return True
    config = kind.__struct_config__
    if config.tag is None or config.tag_field is None:
        return True
    try:
        given = msgspec.json.decode(data, type=dict[str, Raw])
        return bool(msgspec.json.decode(given[config.tag_field]) == config.tag)
    except (*UNREADABLE, KeyError):
        return False


def _is_side(kind: Any) -> bool:
    return get_origin(kind) is Annotated and any(
        isinstance(meta, msgspec.Meta) and (meta.extra or {}).get(_SIDE) is True
        for meta in get_args(kind)[1:]
    )
