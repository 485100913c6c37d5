"""The demo's queue: what a visitor types while an answer is being written.

The pictures go to `screenshots/` beside this file, which is not kept in the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.support.demo import DESKTOP, FITS, PHONE, SMALL_TARGETS, Demo, visit
from tests.support.demo_queue import TYPED, asked, begins, edit, waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.browser import Profile
    from tests.support.fixtures import Deployment
    from tests.support.gateway import GatewayProcess
    from tests.support.simulator import HeldAnswer, Simulator

pytestmark = pytest.mark.anyio

PICTURES: Final = Path(__file__).with_name("screenshots")
SLOW_FIRST_SEND: Final = """() => {
  const real = window.fetch;
  window.fetch = async (request, init) => {
    const isSend = request.method === 'POST' && new URL(request.url).pathname === '/api/chat';
    if (isSend && !window.letGo) await new Promise(go => { window.letGo = go; });
    return real(request, init);
  };
}"""
"""Holds the page's first send until `letGo()`."""


@pytest.fixture
def gateway(own_deployment: Deployment) -> GatewayProcess:
    """A gateway that serves the demo."""
    PICTURES.mkdir(exist_ok=True)
    return own_deployment.add_gateway(arguments=["--demo"])


@pytest.fixture
def held(simulator: Simulator) -> HeldAnswer:
    """The answer that is being written meanwhile."""
    return simulator.held()


@pytest.fixture
async def demo(gateway: GatewayProcess, laptop: Profile, held: HeldAnswer) -> AsyncIterator[Demo]:
    """A visitor's tab in which an answer is being written."""
    page = await visit(laptop, gateway)
    await begins(page, held)
    yield page
    assert await page.tab.complaints() == []


async def test_messages_typed_during_an_answer_wait_in_every_tab(
    demo: Demo, phone: Profile, held: HeldAnswer
) -> None:
    """Edited and removed on another device; the one that is left is answered after the answer."""
    other = await demo.also_open_in(phone)
    await demo.ask("And lakes? [[tokens=20]]")
    await demo.ask("And seas? [[tokens=20]]")
    for page in (demo, other):
        await waits(page, "And lakes?", "And seas?")
    await demo.shows("Queued as 2nd: “And seas?”")

    await edit(other, "And seas?", "And oceans? [[tokens=20]]")
    await other.tab.command("press", key="Enter")
    await waits(demo, "And lakes?", "And oceans?")
    await other.press("Show actions: “And lakes?”")
    await other.press("Remove “And lakes?”")
    await waits(demo, "And oceans?")
    focused = await other.tab.run("() => document.activeElement.ariaLabel")
    assert focused == "Queued messages"
    before = await demo.session()
    await held.release()
    runs = (await demo.session_after(before))["runs"]
    for page in (demo, other):
        await page.shows("You asked: And oceans?")
        await waits(page)

    assert await asked(demo) == [held.question, "And oceans? [[tokens=20]]"]
    assert runs[-1]["outcome"] == "finished"


async def test_queued_message_is_sent_now(demo: Demo) -> None:
    """Before the others, in place of the answer that is being written; they follow."""
    await demo.ask("And lakes? [[tokens=20]]")
    await demo.ask("And seas? [[tokens=20]]")
    await waits(demo, "And lakes?", "And seas?")
    await demo.press("Send now, before the others: “And seas?”")
    await demo.shows("You asked: And lakes?")
    await waits(demo)

    assert (await asked(demo))[1:] == ["And seas? [[tokens=20]]", "And lakes? [[tokens=20]]"]


async def test_message_does_not_overtake_the_one_before_it(
    gateway: GatewayProcess, laptop: Profile
) -> None:
    """Two in a row on an idle page, while the first is still on its way."""
    demo = await visit(laptop, gateway)
    await demo.tab.run(SLOW_FIRST_SEND)
    await demo.ask("Lakes? [[tokens=20]]")
    await demo.tab.finds("() => window.letGo !== undefined")
    await demo.ask("Seas? [[tokens=20]]")
    await waits(demo, "Seas?")
    await demo.tab.run("() => window.letGo()")
    await demo.shows("You asked: Seas?")
    await waits(demo)

    assert await asked(demo) == ["Lakes? [[tokens=20]]", "Seas? [[tokens=20]]"]


async def test_escape_leaves_an_edited_message_and_then_stops_the_answer(
    gateway: GatewayProcess, laptop: Profile, simulator: Simulator
) -> None:
    """The stop pauses the queue, and says so; Resume goes on with it."""
    demo = await visit(laptop, gateway)
    held, again = (simulator.held(tokens=90, after=after, size=20) for after in (30, 60))
    await demo.choose("responses/sim-instant")
    await demo.ask(f"{held.question} {again.directive}")
    await demo.reads(300)
    await demo.ask("And lakes? [[tokens=20]]")
    await waits(demo, "And lakes?")
    await edit(demo, "And lakes?", "Never mind")
    await demo.tab.command("press", key="Escape")
    await waits(demo, "And lakes?")
    await held.release()
    await demo.reads(900)

    await demo.tab.command("press", key="Escape")
    await demo.shows("Paused: the answer was stopped")
    await demo.press("Resume")
    await demo.shows("You asked: And lakes?")
    await waits(demo)


async def test_edited_text_returns_when_its_message_is_answered_meanwhile(
    demo: Demo, held: HeldAnswer
) -> None:
    """To the form, with the reason, beside what was typed there."""
    await demo.ask("And lakes? [[tokens=20]]")
    await waits(demo, "And lakes?")
    await edit(demo, "And lakes?", "And ponds?")
    await held.release()
    await demo.shows("The message you edited is being answered, or was removed.")

    assert await demo.tab.run(TYPED) == "And ponds?"


async def test_refused_message_returns_to_the_form(demo: Demo) -> None:
    """The 33rd, with the reason in words; nothing that waits is lost."""
    filled = await demo.tab.run(
        """async () => {
          const id = location.pathname.split('/').at(-1);
          const headers = { 'content-type': 'application/json', prefer: 'respond-async' };
          const answers = [];
          for (let n = 1; n <= 32; n += 1) {
            const parts = [{ type: 'text', text: `Number ${n}` }];
            const message = { id: `m${n}`, role: 'user', parts };
            const body = JSON.stringify({ id, onActive: 'queue', message });
            answers.push((await fetch('/api/chat', { method: 'POST', headers, body })).status);
          }
          return answers;
        }"""
    )
    await demo.shows("32 queued")
    await demo.ask("One too many?")
    await demo.shows("Not queued: the queue is full.")

    assert filled == [202] * 32
    assert await demo.tab.run(TYPED) == "One too many?"
    await waits(demo, "Number 1", "Number 2", "Number 3")
    await demo.press("Show all 32")
    await waits(demo, *(f"Number {n}" for n in range(1, 33)))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
async def test_states_of_the_queue_are_sound(
    gateway: GatewayProcess,
    laptop: Profile,
    held: HeldAnswer,
    size: tuple[int, int],
    dark: bool,
) -> None:
    """By axe's rules; nothing wider than the page, nor too small for a finger."""
    page = await visit(laptop, gateway, size, dark=dark)
    name = f"queue-{'desktop' if size == DESKTOP else 'phone'}-{'dark' if dark else 'light'}"

    async def is_sound(state: str) -> None:
        await page.photograph(PICTURES / f"{name}-{state}.png")
        assert await page.tab.violations() == [], state
        assert await page.tab.run(FITS), state
        assert await page.tab.run(SMALL_TARGETS) == [], state

    await begins(page, held)
    await is_sound("streaming")
    await page.ask("And what do they carry to the sea, and how long does that take? [[tokens=20]]")
    await page.ask("And lakes? [[tokens=20]]")
    await page.shows("2 queued")
    await is_sound("queued")
    await page.ask("Number 3")
    await page.ask("Number 4")
    await page.shows("Show all 4")
    down = '[aria-label="Move down: “Number 3”"]'  # once the fourth is there
    await page.tab.finds(f"() => document.querySelector('{down}')?.disabled === false")
    if size == PHONE:
        await page.press("Show actions: “And lakes?”")
    await is_sound("actions")
    await page.press("Edit “And lakes?”")
    await is_sound("edited")
    await page.tab.command("press", key="Escape")
    await page.press("Stop the answer, in every tab")
    await page.shows("Paused: the answer was stopped")
    await is_sound("paused")
