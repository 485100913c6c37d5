"""`[connections]`: limits on a client before it is authenticated."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from midstream.settings.fields import Bytes, Count, Seconds, Section, Text


class ConnectionSettings(Section, frozen=True, kw_only=True):
    """Limits on connections before authentication, held by `midstream serve` without Redis."""

    max_head_bytes: Annotated[
        Bytes,
        Meta(description="Largest head of a request: its first line and fields. 431 beyond."),
    ] = 32 * 1024
    max_head_fields: Annotated[
        Count, Meta(description="Most fields of a head. 431 beyond. Trailers are refused with 400.")
    ] = 100
    max_target_bytes: Annotated[
        Bytes,
        Meta(
            description="Longest path with its query. 414 beyond. The default has room for "
            "`?follow=` of 64 sessions."
        ),
    ] = 24 * 1024
    head_deadline_s: Annotated[
        Seconds, Meta(description="For the head, from its first byte. 408 after it.")
    ] = 10.0
    body_deadline_s: Annotated[
        Seconds,
        Meta(
            description="How long a request body may be silent, or behind `min_body_rate`. 408 "
            "after it. Time in which the gateway does not read is not counted."
        ),
    ] = 20.0
    min_body_rate: Annotated[
        Count, Meta(description="Slowest rate of a request body, in bytes a second.")
    ] = 1000
    idle_limit_s: Annotated[
        Seconds,
        Meta(
            description="A connection without a request is closed after it. Keep it above the "
            "60 s of common load balancers: they must be the ones to close."
        ),
    ] = 75.0
    max_connections: Annotated[
        Count,
        Meta(
            description="Connections at once, of each worker; also as many as the limit of open "
            "files allows. The newest get 503 beyond."
        ),
    ] = 10_000
    max_connections_per_address: Annotated[
        Count,
        Meta(
            description="Connections at once of one address (IPv6: of one /64), of each worker. "
            "The newest get 503 beyond."
        ),
    ] = 500
    trusted_proxies: Annotated[
        tuple[Text, ...],
        Meta(
            description="Networks of reverse proxies and load balancers before the gateway. Their "
            "connections carry many clients, and are not counted by address. If you set it, their "
            "`x-forwarded-for` identifies callers without a token, for `limits`."
        ),
    ] = (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
