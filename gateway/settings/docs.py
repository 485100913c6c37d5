"""docs/settings.md, made from the settings themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import inspect

from midstream.settings.agents import (
    AgentSettings,
    ClientToolSettings,
    ProviderToolSettings,
    ToolOptionSettings,
)
from midstream.settings.providers import ProviderSettings
from midstream.settings.sections import SECTIONS, AgentKeySettings, Settings, environment_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from msgspec import Struct

HEAD: Final = """# Settings

Settings come from the options of `midstream serve`, then the environment, then a file
(`midstream.toml` in the working directory, or `--config`), then the defaults below. Lists in
the environment are separated by commas. What is wrong is said in one sentence, with exit
code 2, before anything starts.

Secrets are never in the file: settings name the environment variables that hold them.

Written by `midstream settings`; a test compares it with the code.
"""


def settings_markdown() -> str:
    """Return the page."""
    return "".join(_lines()).rstrip("\n") + "\n"


def _lines() -> Iterator[str]:
    yield HEAD
    yield from _table("Top level", Settings, None)
    for name, struct in SECTIONS.items():
        yield from _table(f"`[{name}]`", struct, name)
    yield from _table("`[agent_keys.NAME]`", AgentKeySettings, None)
    yield from _table("`[agents.NAME]`", AgentSettings, None)
    yield from _table("`[agents.NAME.tool_options.TOOL]`", ToolOptionSettings, None)
    yield from _table("`[agents.NAME.client_tools.TOOL]`", ClientToolSettings, None)
    yield from _table("`[agents.NAME.provider_tools.TOOL]`", ProviderToolSettings, None)
    yield from _table("`[providers.NAME]`", ProviderSettings, None)


def _table(title: str, struct: type[Struct], section: str | None) -> Iterator[str]:
    info = inspect.type_info(struct)
    fields = [field for field in info.fields if isinstance(field.type, inspect.Metadata)]  # type: ignore[attr-defined]
    yield f"\n## {title}\n\n{(struct.__doc__ or '').splitlines()[0]}\n\n"
    yield "| setting | default | what it does |\n|---|---|---|\n"
    for field in fields:
        variable = f" <br>`{environment_name(section, field.name)}`" if section else ""
        extra = (field.type.extra_json_schema or {}).get("description", "")
        yield f"| `{field.name}`{variable} | {_default(field)} | {extra} |\n"


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if value is None or value in ("", (), {}):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`"
