"""The package, installed in fresh projects; and the documentation's pages, in a real browser."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import tarfile
import urllib.request
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.frontends import PROJECTS, TARBALL, Projects, pack, path_of, serving, snippets
from tests.support.pages import reads, say, settles, shows
from tests.support.processes import eventually
from tests.support.sessions import Session, new_chat_id, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.browser import Profile
    from tests.support.fixtures import Deployment

# The first test waits until all projects are built.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

CHECKS: Final = {
    "react": ("tsc", "--project", "."),
    "vue": ("vue-tsc", "--project", "."),
    "assistant-ui": ("tsc", "--project", "."),
    "svelte": ("svelte-check", "--tsconfig", "./tsconfig.json", "--fail-on-warnings"),
}
"""By project, what checks its types. Next.js does it itself, when it builds."""

LONG: Final = "How do rivers move? [[tokens=3000 rate=50]]"


@pytest.fixture(scope="module")
def store(pytestconfig: pytest.Config) -> Path:
    """The folder for slow builds, kept from run to run."""
    assert pytestconfig.cache is not None
    return pytestconfig.cache.mkdir("frontends")


async def test_served_package_is_what_npm_packs_of_the_sources_anywhere(
    deployment: Deployment, tmp_path: Path, store: Path
) -> None:
    """Byte for byte, so that an application's lock stays true; its version is the gateway's."""
    at = deployment.gateways[0].at
    served = await asyncio.to_thread(fetch, f"{at.url}/{TARBALL}")
    description = json.loads(await asyncio.to_thread(fetch, f"{at.url}/schema"))

    assert served == await asyncio.to_thread(pack, tmp_path, store)
    with tarfile.open(fileobj=io.BytesIO(served)) as packed:
        manifest = packed.extractfile("package/package.json")
        assert manifest is not None
        package = json.load(manifest)
    assert (package["name"], package["version"]) == (
        "midstream-chat",
        description["info"]["version"],
    )


def test_fresh_project_names_the_gateway_and_what_it_served(
    projects: Projects, deployment: Deployment
) -> None:
    """npm has written where the package is from, and its hash, which another gateway serves too."""
    asked = json.loads((projects.folder / "next" / "package.json").read_text())["dependencies"]
    lock = json.loads((projects.folder / "package-lock.json").read_text())
    locked = lock["packages"]["node_modules/midstream-chat"]
    served = fetch(f"{deployment.gateways[0].at.url}/{TARBALL}")

    assert asked["midstream-chat"] == locked["resolved"]
    assert locked["resolved"].startswith("http://127.0.0.1:")
    digest = base64.b64encode(hashlib.sha512(served).digest()).decode()
    assert locked["integrity"] == f"sha512-{digest}"


def fetch(url: str) -> bytes:
    """Return the content of an address."""
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310
        return bytes(answer.read())


@pytest.mark.parametrize("project", CHECKS)
def test_package_type_checks_in_a_fresh_project(projects: Projects, project: str) -> None:
    """npm's package under the documentation's code, with the project's own tools."""
    projects.run(project, *CHECKS[project])


def test_every_snippet_of_the_frontend_page_belongs_to_a_project() -> None:
    """Each one is checked and run here."""
    homeless = [
        (snippet.page, snippet.text[:60])
        for snippet in snippets()
        if snippet.page == "docs/frontend.md"
        and (not snippet.is_named or snippet.file.partition("/")[0] not in PROJECTS)
    ]

    assert homeless == []


@pytest.mark.parametrize("project", ["react", "next", "vue", "svelte"])
async def test_documented_page_streams_in_two_browsers_and_stops_in_both(
    projects: Projects, deployment: Deployment, laptop: Profile, phone: Profile, project: str
) -> None:
    """A production build behind its framework's own proxy or rewrite.

    An answer is the same on two devices as on the server, and Stop on one ends the other's.
    """
    chat = new_chat_id()
    session = Session(deployment.gateways[0].at, chat)
    async with serving(projects, project, deployment.gateways[0].at.url) as url:
        tabs = [
            await profile.visit(url + path_of(project, chat), width=800, height=600)
            for profile in (laptop, phone)
        ]
        for tab in tabs:
            await tab.finds("() => /live, idle/.test(document.body.innerText)")

        await say(tabs[0], "How do rivers move?")
        await asyncio.gather(*(reads(tab, "How do rivers move?") for tab in tabs))
        await eventually(session.is_ended, "the answer ends")
        kept = [text_of(message) for message in (await session.snapshot())["messages"]]
        await asyncio.gather(*(shows(tab, kept) for tab in tabs))
        await asyncio.gather(*map(settles, tabs))

        await say(tabs[0], LONG)
        await reads(tabs[1], LONG)
        await tabs[1].command("click", button="Stop")
        await asyncio.gather(*map(settles, tabs))
        stopped = (await session.snapshot())["runs"][-1]
        complaints = [await tab.complaints() for tab in tabs]

    assert stopped["outcome"] == "stopped"
    assert complaints == [[], []]


async def test_readme_page_goes_on_after_a_reload_stops_and_shows_its_history(
    projects: Projects, deployment: Deployment, laptop: Profile
) -> None:
    """The AI SDK's own transport, as in the README.

    Reloaded in the middle of an answer, and after its end, it shows the session's messages, each
    once.
    """
    chat = new_chat_id()
    session = Session(deployment.gateways[0].at, chat)
    async with serving(projects, "react", deployment.gateways[0].at.url) as url:
        tab = await laptop.visit(f"{url}/stock/{chat}", width=800, height=600)
        await tab.finds("() => document.querySelector('input')")
        await say(tab, LONG)
        await reads(tab, LONG)

        await tab.reload()
        await reads(tab, LONG)
        await tab.command("click", button="Stop")
        await eventually(session.is_ended, "the answer ends")
        stopped = await session.snapshot()
        await shows(tab, [text_of(message) for message in stopped["messages"]])
        await tab.finds("() => !document.querySelector('button').disabled")

        await say(tab, "How do rivers move?")
        await reads(tab, "How do rivers move?")
        await eventually(session.is_ended, "the answer ends")
        kept = [text_of(message) for message in (await session.snapshot())["messages"]]
        await shows(tab, kept)
        await tab.reload()
        await shows(tab, kept)
        complaints = await tab.complaints()

    assert stopped["runs"][-1]["outcome"] == "stopped"
    assert len(stopped["messages"]) == 2
    assert len(kept) == 4
    assert complaints == []


def test_no_page_needs_the_form_actions_of_react_19() -> None:
    """The package's peers begin with React 18, which takes a function there for an address."""
    assert [snippet.page for snippet in snippets() if "<form action=" in snippet.text] == []
