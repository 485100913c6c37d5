"""The recipes of CONTRIBUTING.md, followed: a toy of each, in a copy of the source."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from midstream.protocol import KNOWN_CHUNKS, Chunk, OpaqueChunk
from midstream.protocol.assembler import _APPLY
from midstream.protocol.grammar import TURNS
from tests.support import legal_chunks

ROOT = Path(__file__).resolve().parents[3]

Edits = dict[str, list[tuple[str, str]]]
"""File -> where in it (a text that it has once), and what is added behind that."""


def recipe(title: str) -> str:
    """Return the text of a recipe."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    found = re.search(rf"^- \*\*{title}\*\*.*?(?=^- \*\*|^#|\Z)", page, re.M | re.S)
    assert found is not None, title
    return found[0]


def section(title: str) -> str:
    """Return the text of a recipe that has a section of its own."""
    page = (ROOT / "CONTRIBUTING.md").read_text()
    found = re.search(rf"^### {title}\n.*?(?=^#|\Z)", page, re.M | re.S)
    assert found is not None, title
    return found[0]


def sources_named_in(text: str) -> set[str]:
    """Return the files of the source that a recipe names."""
    return {name for name in re.findall(r"`([\w/.]+\.py)`", text) if not name.startswith("tests/")}


class Copy:
    """A copy of the source, to be changed, and asked in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("gateway", "protocol"):
            shutil.copytree(
                ROOT / name,
                folder / name,
                ignore=shutil.ignore_patterns("__pycache__", "demo", "npm", "protocol"),
            )
        (folder / "gateway" / "protocol").symlink_to("../protocol")
        (folder / "src").mkdir()
        (folder / "src" / "midstream").symlink_to("../gateway")

    def add_folder(self, source: Path, target: str) -> None:
        """Copy a package of the tests into the source, under its new name."""
        old = ".".join(source.relative_to(ROOT).parts)
        new = "midstream." + target.removeprefix("gateway/").replace("/", ".")
        (self._folder / target).mkdir()
        for path in source.glob("*.py"):
            (self._folder / target / path.name).write_text(path.read_text().replace(old, new))

    def edit(self, edits: Edits) -> None:
        for name, additions in edits.items():
            path = self._folder / name
            text = path.read_text()
            for anchor, added in additions:
                assert text.count(anchor) == 1, (name, anchor)
                text = text.replace(anchor, anchor + added)
            path.write_text(text)

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [sys.executable, *arguments],
            env={**os.environ, "PYTHONPATH": str(self._folder / "src"), **environment},
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=50,
        )

    def ask(self, program: str, **environment: str) -> Any:
        """Return what a program prints, as JSON."""
        done = self.run("-c", program, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    return Copy(tmp_path)


# -- a setting ----------------------------------------------------------------------------

SETTING: Edits = {
    "gateway/settings/sections.py": [
        (
            'demo: Annotated[bool, Meta(description="Serve the live demo at `/`.")] = False\n',
            '    api_title: Annotated[Text, Meta(description="Title of the schema.")] = '
            '"Midstream"\n',
        )
    ],
    "gateway/app.py": [("title=", "settings.server.api_title, # ")],
}
TITLE_OF_THE_SCHEMA = """
import json
from midstream.app import create_app
print(json.dumps(create_app()._asgi.app.openapi_schema.info.title))
"""


def test_setting_that_is_added_by_the_recipe_is_explained_checked_and_used(copy: Copy) -> None:
    """In the recipe's files, and in no other."""
    assert sources_named_in(recipe("A setting")) == set(SETTING)
    before = copy.run("-m", "midstream", "settings").stdout
    assert before == (ROOT / "docs" / "settings.md").read_text()

    copy.edit(SETTING)

    told = set(copy.run("-m", "midstream", "settings").stdout.splitlines())
    assert told - set(before.splitlines()) == {
        '| `api_title` <br>`MIDSTREAM_SERVER_API_TITLE` | `"Midstream"` | Title of the schema. |'
    }
    assert copy.ask(TITLE_OF_THE_SCHEMA) == "Midstream"
    assert copy.ask(TITLE_OF_THE_SCHEMA, MIDSTREAM_SERVER_API_TITLE="Ours") == "Ours"
    refused = copy.run("-m", "midstream", "serve", MIDSTREAM_SERVER_API_TITLE="")
    assert refused.returncode == 2
    assert "MIDSTREAM_SERVER_API_TITLE" in refused.stderr
    assert refused.stderr.count("\n") == 1


# -- a chunk type -------------------------------------------------------------------------

CHUNK_TYPE: Edits = {
    "protocol/chunks.py": [
        (
            "    id: str\n    parts: Json\n",
            '\n\nclass AsideChunk(Chunk, frozen=True, gc=False, kw_only=True, tag="aside"):\n'
            '    """A remark beside an open text."""\n\n    id: str\n    delta: str\n',
        )
    ],
    "protocol/__init__.py": [
        ("from midstream.protocol.chunks import (\n", "    AsideChunk,\n"),
        ("__all__ = [\n", '    "AsideChunk",\n'),
    ],
    "protocol/vocabulary.py": [
        ("from midstream.protocol.chunks import (\n", "    AsideChunk,\n"),
        ("_TYPE_SINCE: Final[dict[type[Chunk], int]] = {\n", "    AsideChunk: 7,\n"),
    ],
    "protocol/grammar.py": [
        ("from midstream.protocol.chunks import (\n", "    AsideChunk,\n"),
        (
            "MOVES: Final[dict[type[AnyChunk], tuple[Move, ...]]] = {\n",
            '    AsideChunk: ((Effect.NEEDS, Slot.TEXT, "id"),),\n',
        ),
    ],
    "protocol/assembler.py": [
        ("from midstream.protocol.chunks import (\n", "    AsideChunk,\n"),
        (
            "_APPLY: Final[dict[type[AnyChunk], Callable[[Assembler, Any], None]]] = {\n",
            "    AsideChunk: Assembler._whole,\n",
        ),
    ],
    "protocol/v4.py": [
        ("from midstream.protocol.chunks import (\n", "    AsideChunk,\n"),
        (
            "_WRITERS: Final[dict[type[AnyChunk], "
            "Callable[[V4Encoder, Any], Iterator[bytes]]]] = {\n",
            "    AsideChunk: V4Encoder._text,\n",
        ),
    ],
}
FATE_OF_AN_ASIDE = """
import json
from midstream.protocol import *
from midstream.protocol.v4 import V4Encoder

aside = decode(b'{"type":"aside","id":"t","delta":"psst"}')

def refusal(*before):
    writer = ChunkWriter("m")
    for chunk in before:
        writer.write(chunk)
    try:
        writer.write(aside)
    except IllegalChunkError as error:
        return str(error)

message = Assembler("m")
message.apply_all([StartChunk(message_id="m"), TextStartChunk(id="t"), aside])
print(json.dumps({
    "type": type(aside).__name__,
    "wire": encode(aside).decode(),
    "levels": [level for level in (5, 6, 7) if accept(aside, level) is aside],
    "refused": refusal(StartChunk(message_id="m")),
    "legal": refusal(StartChunk(message_id="m"), TextStartChunk(id="t")),
    "kept": json.loads(bytes(message.message()))["parts"][-1],
    "v4": V4Encoder().encode([aside]).decode().splitlines()[-1],
}))
"""


def test_chunk_type_that_is_added_by_the_recipe_reaches_every_client(copy: Copy) -> None:
    """The log, each version that knows it, the message, and ai 4."""
    assert sources_named_in(recipe("A chunk type")) == set(CHUNK_TYPE)

    copy.edit(CHUNK_TYPE)

    assert copy.ask(FATE_OF_AN_ASIDE) == {
        "type": "AsideChunk",
        "wire": '{"type":"aside","id":"t","delta":"psst"}',
        "levels": [7],
        "refused": 'unable to take the chunk aside; there is no text part "t"',
        "legal": None,
        "kept": {"type": "aside", "id": "t", "delta": "psst"},
        "v4": '0:"psst"',
    }


def test_every_chunk_type_is_in_the_tables_that_need_every_one() -> None:
    """A forgotten step of the recipe fails here."""
    kinds = set(KNOWN_CHUNKS.values())
    assert set(_APPLY) == {*kinds, OpaqueChunk}
    written = {
        kind
        for kind in vars(legal_chunks).values()
        if isinstance(kind, type) and issubclass(kind, Chunk)
    }
    assert kinds - set(TURNS) <= written


# -- a provider ---------------------------------------------------------------------------

PROVIDER: Edits = {
    "gateway/settings/provider_kinds.py": [
        (
            "    for kind in (\n",
            "        ProviderKind(\n"
            '            name="toy",\n'
            '            code="midstream.providers.toy.row",\n'
            '            key_variable="TOY_API_KEY",\n'
            '            models=("loud",),\n'
            '            simulator="simulator-toy",\n'
            "        ),\n",
        )
    ]
}
FATE_OF_A_TOY = """
import json
from midstream.providers.configured import known_upstreams
from midstream.providers.registry import ROWS, proxied_api, simulated_apis
from midstream.providers.sdk_prompt import provider_prompt
from midstream.settings.source import load_settings
from midstream.wiring import default_agents

settings = load_settings(None, {}, {"providers": {"loud": {"kind": "toy"}}})
toy = proxied_api("speak")
print(json.dumps({
    "agents": [name for name in default_agents({"TOY_API_KEY": "k"}) if "toy" in name],
    "prompt": "toy" in ROWS and provider_prompt("toy", [], system=None, model=""),
    "upstreams": [name for name in known_upstreams(settings, {}) if name in ("toy", "loud")],
    "paths": toy and toy.path,
    "simulated": [api.__name__ for api in simulated_apis() if "Toy" in api.__name__],
}))
"""


def test_provider_that_is_added_by_the_recipe_needs_its_folder_and_one_row(copy: Copy) -> None:
    """Settings, default agents, prompts, the proxy and the simulator find it by that row."""
    assert set(PROVIDER) <= {
        f"gateway/{name}" for name in sources_named_in(section("Add a provider"))
    }
    copy.add_folder(ROOT / "tests" / "toy_provider", "gateway/providers/toy")
    copy.edit(PROVIDER)

    assert copy.ask(FATE_OF_A_TOY) == {
        "agents": ["simulator-toy", "toy"],
        "prompt": {"turns": []},
        "upstreams": ["loud", "toy"],
        "paths": "speak",
        "simulated": ["SimulatedToy"],
    }


# -- a record -----------------------------------------------------------------------------

RECORD: Edits = {
    "gateway/store/records.py": [
        (
            "    id: MessageId | None\n",
            "\n\nclass PinnedRecord(Struct, frozen=True, gc=False, kw_only=True):\n"
            '    """A message was pinned."""\n\n    id: MessageId\n',
        ),
        ("    | DeletedRecord\n", "    | PinnedRecord\n"),
    ],
    "gateway/store/record_codec.py": [
        ("from midstream.store.records import (\n", "    PinnedRecord,\n"),
        (
            "def _decode_known(kind: bytes, data: bytes) -> Record:\n",
            '    if kind == b"n":\n        return PinnedRecord(id=MessageId(data[2:].decode()))\n',
        ),
    ],
    "gateway/sessions/log/feed_events.py": [
        ("from midstream.store.records import ChunksRecord, ", "PinnedRecord, "),
        (
            "    record = entry.record\n    if isinstance(record, ChunksRecord):\n",
            "        pass\n    if isinstance(record, PinnedRecord):\n"
            '        return FeedEvent("pinned", msgspec.json.encode(record), position)\n'
            "    if isinstance(record, ChunksRecord):\n",
        ),
    ],
}
FATE_OF_A_PIN = """
import json
from midstream.protocol.position import Position
from midstream.sessions.log.feed_events import feed_event
from midstream.store.record_codec import decode_published

entry = decode_published(b"1-0\\n2-0\\nn\\nu1")
event = feed_event(entry, Position("e", "2-0"))
print(json.dumps({
    "record": type(entry.record).__name__,
    "event": event and [event.event, event.data.decode()],
}))
"""


def test_record_that_is_added_by_the_recipe_reaches_followers(copy: Copy) -> None:
    """A gateway without it passes over it."""
    assert sources_named_in(section("Add a record")) == set(RECORD)
    assert copy.ask(FATE_OF_A_PIN) == {"record": "UnknownRecord", "event": None}

    copy.edit(RECORD)

    assert copy.ask(FATE_OF_A_PIN) == {
        "record": "PinnedRecord",
        "event": ["pinned", '{"id":"u1"}'],
    }
