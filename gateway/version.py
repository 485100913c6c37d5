"""The version, where every part can say it without importing another."""

from typing import Final

VERSION: Final = "0.2.0"
