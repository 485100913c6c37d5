"""A request in two forms: another one for a server that does not take the first.

What a server makes of earlier thoughts and answers cannot be asked beforehand. One that refuses
them would refuse every later request of the conversation, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from midstream.errors import ProviderRejectedError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from midstream.aio.entered import Entered

_T = TypeVar("_T")

_UNLIKED: Final = (400, 404, 422)
"""The statuses of a request whose form is not taken."""


async def enter_either(
    entered: Entered,
    first: AbstractAsyncContextManager[_T],
    otherwise: Callable[[], AbstractAsyncContextManager[_T] | None],
) -> tuple[_T, bool]:
    """Enter a context that sends a request, or its other form if the first is refused.

    Args:
        entered: leaves what was entered.
        first: the request as it should be.
        otherwise: its other form; None if that is the same.

    Returns:
        What was entered, and whether it is the other form.

    Raises:
        ProviderError: neither was taken; what was wrong with the first.
    """
    try:
        return await entered.enter(first), False
    except ProviderRejectedError as refusal:
        status = getattr(refusal.__cause__, "status_code", None)
        other = otherwise() if status in _UNLIKED else None
        if other is None:
            raise
        try:
            return await entered.enter(other), True
        except ProviderRejectedError:
            raise refusal from refusal.__cause__
