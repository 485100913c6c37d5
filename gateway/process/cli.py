"""The command `midstream`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from midstream.errors import SettingsError, StoreError
from midstream.process.launch import EXIT_REDIS, EXIT_SETTINGS
from midstream.settings.docs import settings_markdown
from midstream.settings.fields import is_http_url
from midstream.settings.source import load_settings
from midstream.telemetry import configure_logging
from midstream.version import VERSION

SERVE_HELP: Final = """Serve the gateway.

Without any settings it listens on http://127.0.0.1:8000, starts a Redis of its own in
.midstream, and answers with simulated models; with ANTHROPIC_API_KEY or OPENAI_API_KEY set,
with real ones too. Frontends use it as the `api` of their transport:

\b
    new DefaultChatTransport({ api: 'http://127.0.0.1:8000/api/chat' })

Settings come from these options, then the environment (MIDSTREAM_SECTION_FIELD, REDIS_URL),
then midstream.toml; `midstream settings` explains them all.

The first Ctrl-C or SIGTERM lets runs finish and sends readers elsewhere; the second ends at
once. An interrupted run is resumed or closed by another gateway, or at the next start.

\b
Exit codes:
  0  ended as asked
  1  failed; the log says why
  2  a setting or option is wrong
  3  Redis cannot be reached or started
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="midstream")
def main() -> None:
    """Midstream: durable sessions for AI SDK frontends.

    Reload mid-stream, switch device mid-stream, stop mid-stream: nothing is lost.
    """


@main.command(help=SERVE_HELP)
@click.option("--host", help="Address to listen on; 127.0.0.1 by default.")
@click.option("--port", type=int, help="Port to listen on; 8000 by default, 0 for a free one.")
@click.option("--workers", type=int, help="Processes that serve; 1 by default.")
@click.option("--redis-url", help="A Redis of yours, instead of one of the gateway's own.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="MIDSTREAM_CONFIG",
    help="Settings file; midstream.toml by default, if there is one.",
)
@click.option("--data-dir", help="Where the gateway's own Redis keeps its file; .midstream.")
@click.option("--insecure", is_flag=True, help="Allow other addresses than loopback, without auth.")
@click.option("--demo", is_flag=True, help="Serve the live demo at /.")
def serve(
    host: str | None,
    port: int | None,
    workers: int | None,
    redis_url: str | None,
    config: Path | None,
    data_dir: str | None,
    insecure: bool,
    demo: bool,
) -> None:
    """Serve the gateway; see SERVE_HELP."""
    chosen: dict[str, dict[str, object]] = {
        "server": {
            "host": host,
            "port": port,
            "workers": workers,
            "insecure": insecure or None,
            "demo": demo or None,
        },
        "redis": {"url": redis_url, "data_dir": data_dir},
    }
    overrides = {
        section: {field: value for field, value in fields.items() if value is not None}
        for section, fields in chosen.items()
    }
    try:
        settings = load_settings(config, overrides=overrides)
    except SettingsError as error:
        _fail(error.message, EXIT_SETTINGS)
    configure_logging(settings.server.log_level)

    # Imported once the settings are valid: it takes a second.
    from midstream.process.serve import WorkersFailedError
    from midstream.process.serve import serve as serve_until_told

    try:
        serve_until_told(settings, _announce)
    except SettingsError as error:
        _fail(error.message, EXIT_SETTINGS)
    except StoreError as error:
        _fail(error.message, EXIT_REDIS)
    except WorkersFailedError as error:
        _fail(error.message, error.exit_code)


DOCTOR_HELP: Final = """Examine the Redis at URL, or the one of the settings.

Says what is right, what is dangerous, and what to set: which server it is, the rights of its user,
eviction, disk, replicas, its clock, and how long an append takes. It plays one session's life
under a key prefix of its own, and removes it; other keys are not touched.

With --through, also the way to a gateway: whether the proxy there passes streams without
buffering, keeps silent ones, and takes long heads, large bodies and WebSockets. No model is asked.

\b
Exit codes:
  0    nothing is dangerous or broken
  1    something is
  2    an option or a setting is wrong
  130  interrupted; what was written is removed
"""


@main.command(help=DOCTOR_HELP)
@click.argument("url", required=False)
@click.option("--through", metavar="URL", default="", help="Address of a gateway's proxy.")
@click.option("--token", envvar="DOCTOR_TOKEN", default="", help="For --through: a caller's token.")
@click.option(
    "--hold",
    type=click.FloatRange(1, 600),
    default=22.0,
    help="For --through: seconds to hold a silent stream; 22 by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    envvar="MIDSTREAM_CONFIG",
    help="Settings file; midstream.toml by default, if there is one.",
)
def doctor(
    url: str | None, through: str, token: str, hold: float, as_json: bool, config: Path | None
) -> None:
    """Examine a Redis and a proxy; see DOCTOR_HELP."""
    try:
        settings = load_settings(config, overrides={"redis": {"url": url}} if url else None)
        redis_url = settings.redis.url
        if not redis_url and not through:
            raise SettingsError(
                "unable to examine a Redis; name one (midstream doctor redis://HOST), or set "
                "REDIS_URL. Without it the gateway starts a Redis of its own"
            )
        if through and not is_http_url(through):
            raise SettingsError(
                "unable to use --through; it must begin with http:// or https:// and name a host"
            )
    except SettingsError as error:
        _fail(error.message, EXIT_SETTINGS)
    configure_logging("error")

    from midstream.doctor.command import run

    code = run(
        settings,
        click.echo,
        redis_url=redis_url,
        through=through,
        token=token,
        hold_s=hold,
        as_json=as_json,
    )
    sys.exit(code)


DIAGNOSE_HELP: Final = """Tell what happened in the session at URL, https://HOST/api/chat/ID.

Prints a line for each event of its answers, with the failures that people met: silences, stops
that took long, a queue that stands still, answers that were cut off.

\b
Exit codes:
  0  told
  1  the gateway cannot be reached, or refuses
  2  the URL is wrong
"""


@main.command(help=DIAGNOSE_HELP)
@click.argument("url")
@click.option("--token", envvar="DIAGNOSE_TOKEN", default="", help="Of its owner or an operator.")
def diagnose(url: str, token: str) -> None:
    """Tell what happened in a session; see DIAGNOSE_HELP."""
    if not is_http_url(url) or "/api/chat/" not in url:
        _fail(
            "unable to use this URL; it must be that of a session, such as "
            "https://chat.example.com/api/chat/ID",
            EXIT_SETTINGS,
        )
    from midstream.doctor.diagnosis import UndiagnosedError, print_diagnosis

    try:
        print_diagnosis(url, token, click.echo)
    except UndiagnosedError as error:
        _fail(str(error), 1)


@main.command()
def settings() -> None:
    """Explain all settings, as Markdown."""
    click.echo(settings_markdown(), nl=False)


def _announce(address: str) -> None:
    click.echo(f"Midstream serves on {address}")


def _fail(message: str, exit_code: int) -> None:
    if message:
        click.echo(f"midstream: {message}", err=True)
    sys.exit(exit_code)
