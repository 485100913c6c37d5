"""Terms of a vendor at the proxy: the reading of its calls, and the address of its servers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from midstream.errors import GatewayError, InvalidRequestError
from midstream.protocol.codec import UNREADABLE
from midstream.providers.passthrough.call import ModelCall
from midstream.providers.passthrough.ending import StreamEnding
from midstream.providers.stream.unstreamed import EventsOf

if TYPE_CHECKING:
    from midstream.providers.base import Translator
    from midstream.providers.part_ids import PartIds

Header = tuple[bytes, bytes]


class MakeTranslator(Protocol):
    """Makes what turns the events of one answer into chunks, as for a configured agent."""

    def __call__(
        self,
        call: ModelCall,
        new_id: Callable[[], str],
        part_ids: PartIds,
        compatible: str | None = None,
    ) -> Translator:
        """Return the translator.

        Args:
            call: what is answered.
            new_id: makes ids where the provider gives none.
            part_ids: the part ids of the run.
            compatible: the name of a server that is not the vendor's own; None for that.
        """
        ...


class ProxiedApi(Struct, frozen=True, kw_only=True):
    """One API whose calls can be runs of a session.

    Attributes:
        path: the end of its calls' path, behind `v1/`.
        read_call: reads a call's body. Raises `msgspec.MsgspecError` or ValueError for a body
            that is not of its shape.
        translator: see `MakeTranslator`.
        ending: follows one stream; its argument makes ids where none has come.
        events_of: the events that would have streamed a whole answer.
        last_event: what ends an answer of which everything else has come.
    """

    path: str
    read_call: Callable[[bytes], ModelCall]
    translator: MakeTranslator
    ending: Callable[[Callable[[], str]], StreamEnding]
    events_of: EventsOf
    last_event: bytes


def read_call(api: ProxiedApi, body: bytes) -> ModelCall:
    """Read a call's body.

    Raises:
        InvalidRequestError: not JSON, or not of its API's shape.
    """
    try:
        return api.read_call(body)
    except (*UNREADABLE, ValueError):
        raise InvalidRequestError(
            f"unable to show this call in a session; its body is not a request of {api.path}"
        ) from None


class ProxyVendor(Struct, frozen=True, kw_only=True):
    """Terms that all APIs of a vendor share.

    Attributes:
        base_url_variable: where its SDK looks first: an environment variable.
        base_url: where its SDK looks else, and without a slash at its end.
        in_base_url: the begin of paths that its base URL has already.
        is_own: whether an address is the vendor's own, not a compatible server's.
        key_header: the header that has the key, for a key.
        error_body: an error of ours in the shape of its own.
    """

    base_url_variable: str
    base_url: str
    in_base_url: str = ""
    is_own: Callable[[str | None], bool]
    key_header: Callable[[str], Header]
    error_body: Callable[[GatewayError], bytes]
