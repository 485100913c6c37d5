"""What Sentinels say of a primary, and which of their words holds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from midstream.settings.redis_url import Address

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class Word(NamedTuple):
    """Address of the primary, as one Sentinel says.

    `epoch`: number of the configuration that it is of. Each failover raises it. `down_after_ms`:
    how long it may be silent; 0 if that is not told.
    """

    address: Address
    epoch: int
    down_after_ms: int = 0


def read_word(told: Sequence[bytes], address: Sequence[bytes] | None) -> Word:
    """Read a Sentinel's replies to MASTER and to GET-MASTER-ADDR-BY-NAME.

    The address is that of the second. During a failover the first one still names the old primary,
    and has the new epoch already.

    Raises:
        ValueError: they are none.
    """
    fields = dict(zip(told[::2], told[1::2], strict=True))
    epoch = fields.get(b"config-epoch")
    if epoch is None or address is None or len(address) != 2:
        raise ValueError("it names no primary")
    down_after_ms = int(fields.get(b"down-after-milliseconds", 0))
    return Word(Address(address[0].decode(), int(address[1])), int(epoch), down_after_ms)


def newest(words: Collection[Word], current: Address | None) -> Address | None:
    """Return the address that the newest configuration has; None without a word.

    Sentinels that were set up apart may say two addresses in one epoch: then what most of them
    say, or else what holds already.
    """
    if not words:
        return None
    epoch = max(word.epoch for word in words)
    votes = Counter(word.address for word in words if word.epoch == epoch)
    return max(votes, key=lambda address: (votes[address], address == current))
