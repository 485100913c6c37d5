"""Files that a provider refuses: reported once to their sender, then left out.

A conversation is sent whole with each message, so a file that a provider refuses would be
refused with each message that follows. If the refusal names a file of the newest message, its
person is told which one. A file of an earlier message is left out, with a note to the model in its
place, and the request is made once more; so are all files of earlier messages if the refusal names
nothing.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from midstream.aio.entered import Entered
from midstream.errors import ProviderRejectedError
from midstream.protocol.codec import one_line
from midstream.protocol.errors import MalformedFrameError
from midstream.protocol.messages import FilePart, UIMessage, parse_part
from midstream.protocol.parts import fields_of, json_of
from midstream.providers.failures.refusals import is_of_the_request, named_strings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator, Sequence

    from midstream.providers.base import DurableResponses, Provider, StepRequest, StepStream

KEPT: Final = 256
"""Refused files that a process remembers of one agent; of others it asks the provider again."""

ATTEMPTS: Final = 4
NAME_LENGTH: Final = 80


class Refused:
    """The files that an agent's provider has refused, by digest; the newest of them."""

    def __init__(self) -> None:
        self._digests: OrderedDict[bytes, int] = OrderedDict()

    def __len__(self) -> int:
        return len(self._digests)

    def __contains__(self, file: _File) -> bool:
        # Hashing megabytes takes milliseconds, their length none.
        return file.size in self._digests.values() and file.digest in self._digests

    def add(self, file: _File) -> None:
        """Remember one."""
        self._digests[file.digest] = file.size
        self._digests.move_to_end(file.digest)
        while len(self._digests) > KEPT:
            self._digests.popitem(last=False)


class LeavingOut:
    """A provider, for one run, without the files that it refuses. Implements `Provider`."""

    def __init__(self, provider: Provider, refused: Refused) -> None:
        self._provider = provider
        self._refused = refused
        self._left_out = Refused()

    @property
    def name(self) -> str:
        """See Provider."""
        return self._provider.name

    @property
    def deferring_tools(self) -> Collection[str]:
        """See Provider."""
        return self._provider.deferring_tools

    @property
    def durable(self) -> DurableResponses | None:
        """See Provider."""
        return self._provider.durable

    @asynccontextmanager
    async def open_step(self, request: StepRequest) -> AsyncIterator[StepStream]:
        """See Provider."""
        async with Entered() as entered:
            for attempt in range(1, ATTEMPTS + 1):
                messages = [self._without(message) for message in request.messages]
                step = self._provider.open_step(replace(request, messages=messages))
                try:
                    stream = await entered.enter(step)
                    break
                except ProviderRejectedError as error:
                    if attempt == ATTEMPTS or not is_of_the_request(error):
                        raise
                    self._take(error, messages)
            yield stream

    async def warm_up(self) -> None:
        """See Provider."""
        await self._provider.warm_up()

    async def close(self) -> None:
        """See Provider."""
        await self._provider.close()

    def _take(self, error: ProviderRejectedError, messages: Sequence[UIMessage]) -> None:
        """Leave out the files that a refusal is about.

        Raises:
            ProviderRejectedError: it is about no file, or about one that was sent just now.
        """
        newest = max((i for i, each in enumerate(messages) if each.role == "user"), default=-1)
        files = [(i, file) for i, message in enumerate(messages) for file in _files(message)]
        named = named_strings(error)
        about = [(i, file) for i, file in files if file.is_among(named)]
        for i, file in about or files:
            if i != newest:
                self._left_out.add(file)
        for i, file in about:
            self._refused.add(file)
            if i == newest:
                raise ProviderRejectedError(
                    f"unable to get an answer, the model provider refused {file.title}; it is "
                    "left out from now on, so send your message again, with another file or "
                    "without it"
                ) from error
        if all(i == newest for i, _ in files):
            raise error

    def _without(self, message: UIMessage) -> UIMessage:
        """Return a message with notes in place of the files that are left out."""
        if not (self._left_out or self._refused):
            return message
        parts = list(message.parts)
        changed = False
        for file in _files(message):
            if file in self._left_out or file in self._refused:
                note = {"type": "text", "text": f"[{file.title} is left out: it was refused.]"}
                parts[file.index] = json_of(note)
                changed = True
        if not changed:
            return message
        raw = json_of(fields_of(message.raw) | {"parts": json_of(parts)})
        return UIMessage.parse(one_line(bytes(raw)))


class _File(Struct, frozen=True):
    """A file of a message: which of its parts it is, and how it can be known again."""

    index: int
    part: FilePart

    @property
    def contents(self) -> frozenset[str]:
        """Its strings in a request: content or address, or ids at providers."""
        part = self.part
        if part.provider_reference is not UNSET:
            references = msgspec.json.decode(part.provider_reference)
            ids = references.values() if isinstance(references, dict) else [references]
            return frozenset(each for each in ids if isinstance(each, str))
        header, comma, content = part.url.partition(",")
        return frozenset({content if comma and header.startswith("data:") else part.url})

    @property
    def size(self) -> int:
        """Bytes that are hashed."""
        return len(self._held)

    @property
    def digest(self) -> bytes:
        """A file is the same one wherever it is sent."""
        return hashlib.sha256(self._held).digest()

    @property
    def _held(self) -> bytes:
        reference = self.part.provider_reference
        return self.part.url.encode() if reference is UNSET else bytes(reference)

    @property
    def title(self) -> str:
        """Its name for people and models."""
        given = "" if self.part.filename is UNSET else self.part.filename
        name = "".join(filter(str.isprintable, given)).strip()[:NAME_LENGTH]
        return f"the file “{name}”" if name else f"the file of type {self.part.media_type[:40]}"

    def is_among(self, strings: frozenset[str]) -> bool:
        """Whether one of these is its content, with or without a `data:` header."""
        return any(
            content and (said == content or said.endswith(f",{content}"))
            for content in self.contents
            for said in strings
        )


def _files(message: UIMessage) -> Iterator[_File]:
    for index, raw in enumerate(message.parts):
        try:
            part = parse_part(raw)
        except MalformedFrameError:
            continue
        if isinstance(part, FilePart):
            yield _File(index, part)
