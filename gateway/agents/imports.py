"""Python objects that settings name: `package.module:name`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Final

from midstream.errors import SettingsError

STARTED_IN: Final = str(Path.cwd())
"""The current folder at import: looking it up within an event loop would block."""


def import_object(path: str, used_as: str) -> object:
    """Return what a path names.

    Args:
        path: `package.module:name`.
        used_as: for the error's sentence: "the agent `x`".

    Raises:
        SettingsError: it cannot be imported.
    """
    module, colon, attribute = path.partition(":")
    if not colon:
        raise unusable(path, used_as, "it must be of the form `package.module:name`")
    _look_into_this_folder()
    try:
        imported = importlib.import_module(module)
    except (ImportError, SettingsError) as error:
        raise unusable(path, used_as, str(error)) from error
    except Exception as error:
        problem = f"importing {module} failed: {type(error).__name__}: {error}"
        raise unusable(path, used_as, problem) from error
    try:
        return getattr(imported, attribute)
    except AttributeError:
        raise unusable(path, used_as, f"{module} has no `{attribute}`") from None


def _look_into_this_folder() -> None:
    """Find modules in the current folder, after all that is installed.

    `python -m midstream` looks there first, and the command `midstream` not at all. Last, so that
    no file of the folder stands in for a package that the gateway needs.
    """
    if STARTED_IN not in sys.path:
        sys.path.append(STARTED_IN)


def unusable(path: str, used_as: str, problem: str) -> SettingsError:
    """Return the error for an object that is not what it is used as."""
    return SettingsError(f"unable to use {used_as} ({path}); {problem}")
