"""The demo's queue on several devices: moved, edited, sent, stopped, resumed, the same in all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.support.demo import DESKTOP, Demo, visit
from tests.support.demo_queue import asked, begins, edit, waits

if TYPE_CHECKING:
    from tests.support.browser import Profile
    from tests.support.fixtures import Deployment
    from tests.support.gateway import GatewayProcess
    from tests.support.simulator import Simulator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

FOCUSED: Final = "() => document.activeElement.ariaLabel"

SEND_FIVE: Final = """async () => {
  const id = location.pathname.split('/').at(-1);
  const send = (name, headers = {}) => {
    const message = { id: name, role: 'user', parts: [{ type: 'text', text: name }] };
    const body = JSON.stringify({ id, onActive: 'queue', message });
    const json = { 'content-type': 'application/json', accept: 'application/json', ...headers };
    return fetch('/api/chat', { method: 'POST', headers: json, body });
  };
  const statuses = {};
  for (const name of ['m1', 'm2', 'm3', 'm4', 'm5']) {
    const answer = await send(name);
    statuses[name] = [answer.status];
    if (answer.ok) continue; // it waits, and keeps its connection
    statuses[name].push((await answer.json()).error.code);
    statuses[name].push((await send(name, { prefer: 'respond-async' })).status);
  }
  return statuses;
}"""
"""Sends as an AI SDK transport does: each response waits for its run."""

SNAPSHOT: Final = """async () => {
  const answer = await fetch(`/api/chat/${location.pathname.split('/').at(-1)}`);
  return (await answer.json()).queue;
}"""


@pytest.fixture
def gateway(own_deployment: Deployment) -> GatewayProcess:
    """A gateway that serves the demo."""
    return own_deployment.add_gateway(arguments=["--demo"])


async def show(pages: list[Demo], *texts: str) -> None:
    for page in pages:
        await waits(page, *texts)


async def test_queued_messages_are_moved_by_mouse_finger_keys_and_buttons(
    gateway: GatewayProcess, laptop: Profile, phone: Profile, simulator: Simulator
) -> None:
    """Every tab shows the new order, and it is the order of the answers."""
    held = simulator.held()
    demo = await visit(laptop, gateway)
    await begins(demo, held)
    for name in ("A", "B", "C", "D"):
        await demo.ask(f"{name} [[tokens=20]]")
    await demo.press("Show all 4")
    other = await demo.also_open_in(phone)
    await other.press("Show all 4")
    both = [demo, other]
    await show(both, "A", "B", "C", "D")

    await demo.tab.command("drag", button="Move “D”, 4 of 4", onto="Move “A”, 1 of 4")
    await show(both, "D", "A", "B", "C")
    await other.tab.command("drag", button="Move “D”, 1 of 4", onto="Move “B”, 3 of 4", finger=True)
    await show(both, "A", "B", "D", "C")

    await demo.tab.run("() => document.querySelector('[aria-label=\"Move “C”, 4 of 4\"]').focus()")
    for _ in range(2):
        await demo.tab.command("press", key="ArrowUp")
    await show(both, "A", "C", "B", "D")
    assert await demo.tab.run(FOCUSED) == "Move “C”, 2 of 4"
    await demo.tab.finds(
        "() => [...document.querySelectorAll('[role=status]')]"
        ".some(each => each.innerText.includes('Moved to 2nd of 4: “C”'))"
    )

    await other.press("Show actions: “B”")
    await other.press("Move up: “B”")
    await other.press("Move up: “B”")
    await show(both, "B", "A", "C", "D")
    assert await other.tab.run(FOCUSED) == "Move “B”, 1 of 4", "its button has nowhere to go"

    await held.release()
    await show(both)
    await demo.finishes()
    order = [f"{name} [[tokens=20]]" for name in ("B", "A", "C", "D")]
    assert await asked(demo) == [held.question, *order]
    for page in both:
        assert await page.tab.complaints() == []


async def test_two_tabs_and_a_phone_show_one_queue_whatever_is_done_where(
    gateway: GatewayProcess, laptop: Profile, phone: Profile, simulator: Simulator
) -> None:
    """Queue, edit, move, send now, stop, resume, each on another one; and reloads in between."""
    held, second = simulator.held(), simulator.held()
    first = await visit(laptop, gateway)
    await begins(first, held)
    tab = await first.also_open_in(laptop, DESKTOP)
    pocket = await first.also_open_in(phone)
    pages = [first, tab, pocket]

    await first.ask("A [[tokens=20]]")
    await pocket.choose("responses/sim-instant")
    await pocket.ask("B [[tokens=20]]")
    await show(pages, "A", "B")
    await tab.choose("responses/sim-instant")
    await tab.ask(f"C {second.directive}")
    await show(pages, "A", "B", "C")
    await reload(tab)
    await show(pages, "A", "B", "C")

    await edit(pocket, "A", "Anew [[tokens=20]]")
    await pocket.tab.command("press", key="Enter")
    await show(pages, "Anew", "B", "C")
    await tab.press("Move down: “Anew”")
    await show(pages, "B", "Anew", "C")
    await reload(pocket)
    await show(pages, "B", "Anew", "C")

    await first.press("Send now, before the others: “C”")
    await show(pages, "B", "Anew")
    for page in pages:
        await page.shows("You asked: C")
    await reload(first)
    await show(pages, "B", "Anew")
    await pocket.press("Stop the answer, in every tab")
    for page in pages:
        await page.shows("Paused: the answer was stopped")
    await reload(pocket)
    await pocket.shows("Paused: the answer was stopped")
    await show(pages, "B", "Anew")
    await tab.press("Resume")
    await show(pages)
    for page in pages:
        await page.shows("You asked: Anew")
        await page.finishes()
        assert await page.tab.complaints() == []
    questions = [held.question, f"C {second.directive}", "B [[tokens=20]]", "Anew [[tokens=20]]"]
    assert await asked(first) == questions


async def test_stop_and_snapshot_get_through_beside_five_queued_messages(
    gateway: GatewayProcess, laptop: Profile, simulator: Simulator
) -> None:
    """Over HTTP/1.1 Chromium opens six connections: three sends wait, the page has two."""
    demo = await visit(laptop, gateway)
    await begins(demo, simulator.held())
    statuses: dict[str, list[Any]] = await demo.tab.run(SEND_FIVE)
    refused = [409, "queue_full", 202]
    assert statuses == {"m1": [200], "m2": [200], "m3": [200], "m4": refused, "m5": refused}
    await demo.press("Show all 5")
    await waits(demo, "m1", "m2", "m3", "m4", "m5")

    assert len((await demo.tab.run(SNAPSHOT))["entries"]) == 5
    await demo.press("Stop the answer, in every tab")
    await demo.shows("Paused: the answer was stopped")
    assert (await demo.tab.run(SNAPSHOT))["paused"] == "stopped"
    await waits(demo, "m1", "m2", "m3", "m4", "m5")


async def reload(page: Demo) -> None:
    """Reload a page, and wait until it is connected."""
    await page.tab.command("reload")
    await page.shows("live")
